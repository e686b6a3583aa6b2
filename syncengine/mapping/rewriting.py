"""A narrowed template rewritten: every operation a call of our own words, every use of a row a variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

from jinja2 import nodes

from syncengine.mapping import words
from syncengine.mapping.templates import Use, chained, resolve


class Inputs(Protocol):
    """Gives every use a variable of the compiled code."""

    def __call__(self, use: Use) -> nodes.Expr: ...


@dataclass(slots=True)
class Rewriter:
    """The template's tree with every operation made a call of `words`, and every use made a variable."""

    inputs: Inputs
    each: int
    prefix: str = "u"
    local: list[str] = field(default_factory=list)

    def expression(self, node: nodes.Node, local: frozenset[str] = frozenset()) -> nodes.Expr:  # noqa: C901
        again = self.expression
        chain = chained(node)
        if chain is not None:
            return self._chain(chain, local)
        match node:
            case nodes.Const() | nodes.TemplateData():
                return nodes.Const(node.value if isinstance(node, nodes.Const) else node.data)
            case nodes.List() | nodes.Tuple():
                return nodes.List([again(one, local) for one in node.items])
            case nodes.Filter():
                return self._filter(node, local)
            case nodes.Test():
                return call(
                    f"T_{node.name}",
                    again(node.node, local),
                    *(again(one, local) for one in node.args),
                )
            case nodes.Getattr():
                return call("item", again(node.node, local), nodes.Const(node.attr))
            case nodes.Getitem() if isinstance(node.arg, nodes.Slice):
                bounds = [
                    nodes.Const(None) if b is None else again(b, local)
                    for b in (node.arg.start, node.arg.stop, node.arg.step)
                ]
                return call("part", again(node.node, local), *bounds)
            case nodes.Getitem():
                return call("item", again(node.node, local), again(node.arg, local))
            case nodes.Concat():
                return call("concat", *(again(one, local) for one in node.nodes))
            case nodes.Compare():
                return self._compare(node, local)
            case nodes.CondExpr():
                other = nodes.Const(None) if node.expr2 is None else again(node.expr2, local)
                return nodes.CondExpr(again(node.test, local), again(node.expr1, local), other)
            case nodes.And():
                return nodes.And(again(node.left, local), again(node.right, local))
            case nodes.Or():
                return nodes.Or(again(node.left, local), again(node.right, local))
            case nodes.Not():
                return nodes.Not(again(node.node, local))
            case nodes.BinExpr():
                return call(f"O_{type(node).__name__}", again(node.left, local), again(node.right, local))
            case nodes.UnaryExpr():
                return call(f"O_{type(node).__name__}", again(node.node, local))
            case _:
                raise AssertionError(f"{type(node).__name__} was not refused")

    def _chain(self, chain: tuple[str, tuple[str | int, ...]], local: frozenset[str]) -> nodes.Expr:
        root, parts = chain
        if root not in local:
            use = resolve(root, parts, self.each)
            return self.inputs(cast(Use, use))
        if root == "loop":
            return nodes.Getattr(nodes.Name("loop", "load"), str(parts[0]), "load")
        found: nodes.Expr = nodes.Name(self.prefix + root, "load")
        for one in parts:
            found = call("item", found, nodes.Const(one))
        return call("clean", found) if parts else found

    def _filter(self, node: nodes.Filter, local: frozenset[str]) -> nodes.Expr:
        known = words.PARAMETERS[node.name]
        args: list[nodes.Expr] = [self.expression(one, local) for one in node.args]
        named: dict[str, nodes.Expr] = {str(pair.key): self.expression(pair.value, local) for pair in node.kwargs}
        for name in known[len(args) :]:
            if not named:
                break
            args.append(named.pop(name) if name in named else _absent(name))
        return call(f"F_{node.name}", self.expression(cast(nodes.Expr, node.node), local), *args)

    def _compare(self, node: nodes.Compare, local: frozenset[str]) -> nodes.Expr:
        left: nodes.Node = node.expr
        found: nodes.Expr = nodes.Const(None)
        for number, operand in enumerate(node.ops):
            one = call(f"O_{operand.op}", self.expression(left, local), self.expression(operand.expr, local))
            found = nodes.And(found, one) if number else one
            left = operand.expr
        return found

    def statements(self, body: list[nodes.Node], local: frozenset[str]) -> list[nodes.Node]:
        """Statements for Jinja2 to run; every output goes through `out`."""
        return list(self._statements(body, local))

    def _statements(self, body: list[nodes.Node], local: frozenset[str]) -> Iterator[nodes.Node]:
        for node in body:
            match node:
                case nodes.Output():
                    yield nodes.Output([self._output(one, local) for one in node.nodes])
                case nodes.If():
                    yield self._if(node, local)
                case nodes.For():
                    target = cast(nodes.Name, node.target).name
                    inner = local | {target, "loop"}
                    test = None if node.test is None else self.expression(node.test, inner)
                    yield nodes.For(
                        nodes.Name(self.prefix + target, "store"),
                        call("elements", self.expression(node.iter, local)),
                        self.statements(node.body, inner),
                        self.statements(node.else_, local),
                        test,
                        False,
                    )
                case nodes.Assign():
                    target = cast(nodes.Name, node.target).name
                    yield nodes.Assign(nodes.Name(self.prefix + target, "store"), self.expression(node.node, local))
                    local = local | {target}
                case _:
                    raise AssertionError(f"{type(node).__name__} was not refused")

    def _if(self, node: nodes.If, local: frozenset[str]) -> nodes.If:
        return nodes.If(
            self.expression(node.test, local),
            self.statements(node.body, local),
            [self._if(one, local) for one in node.elif_],
            self.statements(node.else_, local),
        )

    def _output(self, node: nodes.Expr, local: frozenset[str]) -> nodes.Expr:
        if isinstance(node, nodes.TemplateData):
            return nodes.TemplateData(node.data)
        return call("out", self.expression(node, local))


def _absent(parameter: str) -> nodes.Expr:
    """What stands for an argument that is not given, before one that is."""
    values: dict[str, object] = {"default_value": "", "count": -1, "group": 0}
    return nodes.Const(values.get(parameter))


def call(name: str, *args: nodes.Expr) -> nodes.Call:
    """A call of one of our own operations."""
    return nodes.Call(nodes.Name(name, "load"), list(args), [], None, None)
