"""A rewritten expression as Python source, with the common operations on text written out."""

from __future__ import annotations

from typing import Literal, cast

import msgspec
from jinja2 import nodes

Sort = Literal["text", "text?", "any"]
"""What a piece of code yields: always a text, a text or None, anything."""

_METHODS = {"F_lower": "lower", "F_upper": "upper", "F_trim": "strip"}


class Code(msgspec.Struct, frozen=True):
    """A Python expression and what it yields."""

    source: str
    sort: Sort

    @property
    def simple(self) -> bool:
        """Whether it may be repeated: a variable or a constant."""
        return self.source.isidentifier()


class Printer(msgspec.Struct):
    """Prints rewritten expressions; `texts` are the variables that hold a text or None."""

    texts: set[str] = msgspec.field(default_factory=set)
    used: set[str] = msgspec.field(default_factory=set)
    """The operations that the printed code calls."""
    temporaries: int = 0

    def print(self, node: nodes.Node) -> Code:
        match node:
            case nodes.Const():
                return Code(repr(node.value), "text" if isinstance(node.value, str) else "any")
            case nodes.Name():
                return Code(node.name, "text?" if node.name in self.texts else "any")
            case nodes.List():
                return Code("[" + ", ".join(self.print(one).source for one in node.items) + "]", "any")
            case nodes.CondExpr():
                other = cast(nodes.Expr, node.expr2)
                test, yes, no = self.print(node.test), self.print(node.expr1), self.print(other)
                return Code(f"({yes.source} if {test.source} else {no.source})", _either(yes, no))
            case nodes.And() | nodes.Or():
                left, right = self.print(node.left), self.print(node.right)
                word = "and" if isinstance(node, nodes.And) else "or"
                return Code(f"({left.source} {word} {right.source})", _either(left, right))
            case nodes.Not():
                return Code(f"(not {self.print(node.node).source})", "any")
            case nodes.Call():
                return self._call(node)
            case _:
                raise AssertionError(f"{type(node).__name__} is no part of an expression")

    def _call(self, node: nodes.Call) -> Code:
        name = cast(nodes.Name, node.node).name
        args = [self.print(one) for one in node.args]
        method = _METHODS.get(name)
        if method and args[0].sort != "any":
            return self._strict(args[0], f"{{}}.{method}()")
        if name == "concat":
            return self.concat(args)
        if name == "O_eq" and all(one.sort != "any" for one in args) and args[1].sort == "text":
            return self._strict(args[0], f"{{}} == {args[1].source}", "any")
        if name in {"F_default", "F_d"} and len(args) == 2 and args[0].simple:
            sort: Sort = args[1].sort if args[0].sort != "any" else "any"
            return Code(f"({args[1].source} if {args[0].source} is None else {args[0].source})", sort)
        self.used.add(name)
        return Code(f"{name}({', '.join(one.source for one in args)})", "any")

    def _strict(self, operand: Code, form: str, sort: Sort = "text?") -> Code:
        if operand.sort == "text":
            return Code(f"({form.format(operand.source)})", "text" if sort == "text?" else sort)
        name, test = self._named(operand)
        return Code(f"(None if {test} is None else {form.format(name)})", sort)

    def _named(self, operand: Code) -> tuple[str, str]:
        """A name for the operand, and the code that is evaluated first and gives it that name."""
        if operand.simple:
            return operand.source, operand.source
        self.temporaries += 1
        name = f"w{self.temporaries}"
        return name, f"({name} := {operand.source})"

    def concat(self, parts: list[Code]) -> Code:
        """Texts side by side: an f-string where all are known to be text."""
        if any(one.sort == "any" for one in parts):
            self.used.add("concat")
            return Code(f"concat({', '.join(one.source for one in parts)})", "text?")
        tests: list[str] = []
        names: list[str] = []
        for one in parts:
            if one.sort == "text":
                names.append(one.source)
            else:
                name, test = self._named(one)
                names.append(name)
                tests.append(f"{test} is None")
        self.used.add("bounded")
        joined = f"bounded(''.join(({', '.join(names)},)))" if len(names) > 3 else f"bounded({' + '.join(names)})"
        if not tests:
            return Code(joined, "text")
        return Code(f"(None if {' or '.join(dict.fromkeys(tests))} else {joined})", "text?")


def _either(a: Code, b: Code) -> Sort:
    if "any" in {a.sort, b.sort}:
        return "any"
    return "text" if a.sort == b.sort == "text" else "text?"
