"""Templates with statements: one compiled Jinja2 template runs over a whole batch of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from syncengine.mapping import operators, templates, words
from syncengine.mapping.operators import Wrong
from syncengine.mapping.rewriting import Rewriter, call
from syncengine.mapping.templates import Parsed

MAX_STEPS = 20_000
"""How many rounds all loops of one row may take together."""

_FAULTS = (ArithmeticError, TypeError, ValueError, RecursionError, LookupError)

_NOTHING = "\0"
"""Stands in a text for a part that has no value; sources never hold it."""


class _Budget:
    """Counts the rounds of loops, so that no template eats the time of a run."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def elements(self, value: Any) -> list[Any]:
        found = operators.elements(value)
        self.left -= len(found) + 1
        if self.left < 0:
            raise Wrong("template-too-slow", f"The loops of this template take more than {MAX_STEPS} rounds")
        return found


def _out(value: Any) -> str:
    done = operators.text(value)
    return _NOTHING if done is None else done


class Cells:
    """The cells of one body, in order; `run` gives a tuple of values for every input tuple."""

    def __init__(self, names: Sequence[str], clean: Callable[[Any], Any]) -> None:
        self._names = tuple(names)
        self._clean = clean
        self._cells: list[tuple[Parsed, Rewriter]] = []
        self._budget = _Budget()
        self._found: list[tuple[Any, ...]] = []
        self._compiled: Any = None
        self._single: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, parsed: Parsed, rewriter: Rewriter) -> int:
        """Takes a template in; gives the number of its cell."""
        self._cells.append((parsed, rewriter))
        return len(self._cells) - 1

    def run(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The cells of all rows; a cell that cannot be made holds the `Wrong` that says why."""
        if self._compiled is None:
            self._compiled = self._compile(range(len(self._cells)))
        found: list[tuple[Any, ...]] = []
        if self._render(self._compiled, rows, found):
            return found
        found = []
        for row in rows:
            if not self._render(self._compiled, [row], found):
                found.append(tuple(self._alone(number, row) for number in range(len(self._cells))))
        return found

    def _render(self, compiled: Any, rows: Sequence[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> bool:
        self._found = []
        try:
            compiled.render(rows=rows)
            found.extend(self._found)
        except (Wrong, *_FAULTS):
            return False
        return True

    def _alone(self, number: int, row: tuple[Any, ...]) -> Any:
        if number not in self._single:
            self._single[number] = self._compile([number])
        self._found = []
        try:
            self._single[number].render(rows=[row])
            return self._found[0][0]
        except Wrong as wrong:
            return wrong
        except _FAULTS:
            return Wrong("template-failed", "The template cannot be worked out for this row")

    def _compile(self, numbers: Sequence[int]) -> Any:
        body: list[nodes.Node] = [nodes.ExprStmt(call("begin", nodes.Name("rows", "load")))]
        names: list[nodes.Expr] = []
        for number in numbers:
            parsed, rewriter = self._cells[number]
            name = f"cell{number}"
            names.append(nodes.Name(name, "load"))
            rewriter.prefix = f"u{number}_"
            target = nodes.Name(name, "store")
            if parsed.single is not None:
                body.append(nodes.Assign(target, rewriter.expression(parsed.single)))
            else:
                body.extend(_text_cell(name, parsed, rewriter))
        body.append(nodes.ExprStmt(call("emit", nodes.Tuple(names, "load"))))
        target_names = nodes.Tuple([nodes.Name(name, "store") for name in self._names], "store")
        loop = nodes.For(target_names, nodes.Name("rows", "load"), body, [], None, False)
        env = templates.environment().overlay()
        env.filters = self._filters()
        tree = nodes.Template([loop], lineno=1)
        tree.set_environment(env)
        _AsFilters().visit(tree)
        for node in tree.find_all(nodes.Node):
            if getattr(node, "lineno", None) is None:
                node.lineno = 1
        return env.template_class.from_code(env, env.compile(tree), {})

    def _filters(self) -> dict[str, Any]:
        def begin(_: object) -> None:
            self._budget.left = MAX_STEPS

        def emit(cells: tuple[Any, ...]) -> None:
            self._found.append(cells)

        known = operations(self._clean)
        known.update(begin=begin, elements=self._budget.elements, out=_out, whole=_whole, emit=emit)
        return known


class _AsFilters(NodeTransformer):
    """Calls become filters: Jinja2 calls a filter straight, and everything else through its context."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 (the visitor's own form)
        self.generic_visit(node)
        first, *rest = node.args
        return nodes.Filter(first, cast(nodes.Name, node.node).name, rest, [], None, None, lineno=1)


def _text_cell(name: str, parsed: Parsed, rewriter: Rewriter) -> list[nodes.Node]:
    """A template that yields text: one call where it is texts and expressions, a block where it has statements."""
    target = nodes.Name(name, "store")
    if parsed.plain:
        parts = [rewriter.expression(one) for node in parsed.body for one in cast(nodes.Output, node).nodes]
        return [nodes.Assign(target, call("concat", *parts))] if parts else [nodes.Assign(target, nodes.Const(""))]
    block = nodes.AssignBlock(target, None, rewriter.statements(list(parsed.body), frozenset()))
    return [block, nodes.Assign(nodes.Name(name, "store"), call("whole", nodes.Name(name, "load")))]


def _whole(value: str) -> str | None:
    """A text that has all its parts; one with a part that has no value has none itself."""
    return None if _NOTHING in value else operators.bounded(value)


def operations(clean: Callable[[Any], Any]) -> dict[str, Any]:
    """All that a rewritten template may call."""
    known: dict[str, Any] = {f"F_{name}": function for name, function in words.FILTERS.items()}
    known.update({f"T_{name}": function for name, function in words.TESTS.items()})
    known.update({f"O_{name}": function for name, function in operators.OPERATORS.items()})
    known.update(
        concat=operators.concat,
        item=operators.item,
        part=operators.part,
        bounded=operators.bounded,
        clean=clean,
        text=operators.text,
    )
    return known
