"""Templates read and narrowed: an allow list of names, filters, operators and statements, checked when a spec is read.

Jinja2 parses a template; `rewriting.py` makes a tree of it in which every operation is a call of `words`. That tree is
printed as Python (`expressions.py`) or run by Jinja2 itself (`batches.py`); a property test holds both equal. No
attribute access survives the rewriting.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import jinja2
import msgspec
from jinja2 import nodes
from jinja2.sandbox import SandboxedEnvironment

from syncengine.errors import Position, Problem
from syncengine.mapping import operators, words
from syncengine.mapping.model import Template

MAX_TEMPLATE = 8 * 1024
MAX_TEMPLATE_DEPTH = 50
RESERVED = frozenset({"row", "parent", "item", "position", "vars", "run", "loop"})

_STATEMENTS = (nodes.If, nodes.For, nodes.Assign, nodes.Output, nodes.TemplateData)
_LOOP = frozenset({"index", "index0", "first", "last", "length"})


class Use(msgspec.Struct, frozen=True):
    """A name that a template reads from the row, or from `vars` and `run`."""

    kind: Literal["column", "item", "position", "vars", "run"]
    level: int
    """0: the row or element itself, 1: its parent, and so on."""
    parts: tuple[str | int, ...]
    shown: str


class Parsed(msgspec.Struct, frozen=True):
    """A template whose every part is allowed."""

    template: Template
    single: nodes.Expr | None
    """The expression, where the template is exactly one `{{ }}`."""
    body: tuple[nodes.Node, ...]
    uses: tuple[Use, ...]
    plain: bool
    """Only expressions and text: it can be printed as Python."""


@lru_cache(maxsize=1)
def environment() -> SandboxedEnvironment:
    """The sandbox that parses all templates; it has no globals and no loader."""
    env = SandboxedEnvironment(autoescape=False, undefined=jinja2.StrictUndefined)
    env.globals.clear()
    env.filters.clear()
    env.tests.clear()
    env.filters.update(words.FILTERS)
    env.tests.update(words.TESTS)
    return env


@dataclass(slots=True)
class _Refused(Exception):
    code: str
    message: str
    near: str = ""
    fix: str = ""


def place(template: Template, near: str) -> Position:
    """The place of a word inside a template, as well as it can be known."""
    at = -1
    if near:
        found = re.search(rf"(?<![\w.]){re.escape(near)}(?!\w)", template.text)
        at = found.start() if found else template.text.find(near)
    file, line, column = template.position
    if at < 0 or template.block:
        return template.position
    before = template.text[:at]
    if "\n" in before:
        return template.position
    return Position(file, line, column + int(template.quoted) + at)


def parse(template: Template, each: int) -> Parsed | Problem:
    """The narrowed template, or what is wrong with it; `each` is how many lists the step has gone into."""
    if len(template.text) > MAX_TEMPLATE:
        return Problem(
            "template-too-long", f"A template may have {MAX_TEMPLATE // 1024} KiB", template.position, fix="Split it."
        )
    try:
        tree = environment().parse(template.text)
        return _Reader(template, each).read(tree)
    except jinja2.TemplateSyntaxError as error:
        return _syntax(template, error)
    except _Refused as refused:
        return Problem(refused.code, refused.message[:160], place(template, refused.near), refused.near, refused.fix)
    except RecursionError:
        return Problem("template-too-deep", "The template is nested too deeply", template.position)


def _syntax(template: Template, error: jinja2.TemplateSyntaxError) -> Problem:
    said = (error.message or "").strip()
    near = ""
    unknown = re.search(r"No (filter|test) named '(\w+)'", said)
    if unknown:
        near = unknown.group(2)
        return _unknown_word(template, unknown.group(1), near)
    tag = re.search(r"unknown tag '(\w+)'", said)
    if tag:
        near = tag.group(1)
        message = f'The statement "{near}" is not allowed in a template; if, for and set are'
        return Problem("template-statement", message, place(template, near), near)
    got = re.search(r"got '([^']*)'", said)
    if got:
        near = got.group(1)
    fix = "Close every {{ with }}, every {% with %}, and every if and for with its end."
    if "nexpected end of template" in said:
        message = "Something that this template opens is never closed"
    elif near and "end of print statement" in said:
        message, fix = (
            f'"{near}" stands where the expression should end',
            "Write ~ between two texts, | before a filter.",
        )
    else:
        message = f"This template cannot be read: {said[:1].lower()}{said[1:]}".rstrip(".")[:160]
    return Problem("template-syntax", message, place(template, near), template.text[:80], fix)


def _unknown_word(template: Template, kind: str, near: str) -> Problem:
    known = sorted(words.FILTERS if kind == "filter" else words.TESTS)
    close = difflib.get_close_matches(near, known, 3)
    fix = f"Did you mean {' or '.join(close)}?" if close else f"The {kind}s are: {', '.join(known)}"
    return Problem(f"unknown-{kind}", f'There is no {kind} "{near}"', place(template, near), near, fix)


class _Reader:
    def __init__(self, template: Template, each: int) -> None:
        self.template = template
        self.each = each
        self.uses: dict[Use, None] = {}
        self.plain = True
        self.depth = 0

    def read(self, tree: nodes.Template) -> Parsed:
        body = tree.body
        single: nodes.Expr | None = None
        self._statements(body, frozenset())
        if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
            only = body[0].nodes[0]
            single = None if isinstance(only, nodes.TemplateData) else only
        return Parsed(self.template, single, tuple(body), tuple(self.uses), self.plain)

    def _statements(self, body: list[nodes.Node], local: frozenset[str]) -> frozenset[str]:
        for node in body:
            local = self._statement(node, local)
        return local

    def _statement(self, node: nodes.Node, local: frozenset[str]) -> frozenset[str]:
        if not isinstance(node, _STATEMENTS):
            name = type(node).__name__.lower()
            raise _Refused("template-statement", f"The statement {name} is not allowed in a template", name)
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if not isinstance(child, nodes.TemplateData):
                    self._expression(child, local)
            return local
        self.plain = False
        if isinstance(node, nodes.If):
            self._expression(node.test, local)
            for branch in (node.body, *(one.body for one in node.elif_), node.else_):
                self._statements(branch, local)
            for one in node.elif_:
                self._expression(one.test, local)
            return local
        if isinstance(node, nodes.For):
            self._expression(node.iter, local)
            inner = local | self._target(node.target) | {"loop"}
            if node.recursive:
                raise _Refused("template-statement", "A recursive loop is not allowed in a template", "recursive")
            if node.test is not None:
                self._expression(node.test, inner)
            self._statements(node.body, inner)
            self._statements(node.else_, local)
            return local
        assigned = cast(nodes.Assign, node)
        self._expression(assigned.node, local)
        return local | self._target(assigned.target)

    def _target(self, node: nodes.Node) -> frozenset[str]:
        if isinstance(node, nodes.Name):
            if node.name in RESERVED:
                raise _Refused("reserved-name", f'"{node.name}" is a reserved name in templates', node.name)
            return frozenset({node.name})
        raise _Refused("template-statement", "Only one simple name can be set here", "")

    def _expression(self, node: nodes.Node, local: frozenset[str]) -> None:
        self.depth += 1
        if self.depth > MAX_TEMPLATE_DEPTH:
            raise _Refused("template-too-deep", f"The template is nested deeper than {MAX_TEMPLATE_DEPTH} levels")
        try:
            self._checked(node, local)
        finally:
            self.depth -= 1

    def _checked(  # noqa: C901 (one case for each kind of node)
        self, node: nodes.Node, local: frozenset[str]
    ) -> None:
        chain = chained(node)
        if chain is not None:
            self._chain(chain, local)
            return
        match node:
            case nodes.Const() | nodes.TemplateData():
                if isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) > 10**30:
                    raise _Refused("number-too-big", "This number is too big for a template")
            case nodes.List() | nodes.Tuple():
                for one in node.items:
                    self._expression(one, local)
            case nodes.Filter():
                self._filter(node, local)
            case nodes.Test():
                if node.kwargs or node.dyn_args or node.dyn_kwargs:
                    raise _Refused("template-argument", f'The test "{node.name}" takes plain arguments', node.name)
                if node.name not in words.TESTS:
                    raise _unknown("test", node.name, words.TESTS)
                for tested in (node.node, *node.args):
                    self._expression(tested, local)
            case nodes.Getitem() | nodes.Getattr():
                self._access(node, local)
            case nodes.Pow():
                raise _Refused("template-operator", "The operator ** is not allowed in a template", "**")
            case nodes.BinExpr() | nodes.UnaryExpr() | nodes.Concat() | nodes.Compare() | nodes.CondExpr():
                for child in node.iter_child_nodes():
                    self._expression(child, local)
            case nodes.Operand():
                self._expression(node.expr, local)
            case nodes.Call():
                self._call(node)
            case _:
                name = type(node).__name__.lower()
                raise _Refused("template-expression", f"This kind of expression ({name}) is not allowed in a template")

    def _call(self, node: nodes.Call) -> None:
        name = getattr(node.node, "name", getattr(node.node, "attr", ""))
        fix = f"Write a filter instead, such as  | {name}" if name in words.FILTERS else "Write a filter instead."
        column = re.search(rf"{re.escape(str(name))}\s+\([\w .,%/-]+\)", self.template.text) if name else None
        if column and name not in words.FILTERS:
            fix = f'A column of that name is written  row["{column[0]}"]'.replace('"', "'")
        raise _Refused("template-call", f'"{name}(...)" is not allowed: a template calls nothing', str(name), fix)

    def _access(self, node: nodes.Getitem | nodes.Getattr, local: frozenset[str]) -> None:
        if isinstance(node, nodes.Getattr):
            if node.attr.startswith("_"):
                raise _Refused("template-attribute", f'"{node.attr}" is not allowed in a template', node.attr)
        elif isinstance(node.arg, nodes.Slice):
            for one in (node.arg.start, node.arg.stop, node.arg.step):
                if one is not None:
                    self._expression(one, local)
        else:
            self._expression(node.arg, local)
        self._expression(node.node, local)

    def _filter(self, node: nodes.Filter, local: frozenset[str]) -> None:
        if node.node is None or node.name not in words.FILTERS:
            raise _unknown("filter", node.name, words.FILTERS)
        known = words.PARAMETERS[node.name]
        if node.dyn_args or node.dyn_kwargs or len(node.args) + len(node.kwargs) > len(known):
            raise _Refused(
                "template-argument", f'The filter "{node.name}" takes at most {len(known)} arguments', node.name
            )
        for pair in node.kwargs:
            if pair.key not in known[len(node.args) :]:
                said = f'The filter "{node.name}" has no argument "{pair.key}"'
                raise _Refused("template-argument", said, str(pair.key))
        if len(node.args) + len(node.kwargs) < words.REQUIRED.get(node.name, 0):
            needs = ", ".join(known[: words.REQUIRED[node.name]])
            raise _Refused("template-argument", f'The filter "{node.name}" needs: {needs}', node.name)
        for one in (node.node, *node.args, *(pair.value for pair in node.kwargs)):
            self._expression(one, local)
        if node.name == "regex" and node.args and isinstance(node.args[0], nodes.Const):
            try:
                words.pattern(node.args[0].value)
            except operators.Wrong as wrong:
                raise _Refused(wrong.code, wrong.message, node.name) from None

    def _chain(self, chain: tuple[str, tuple[str | int, ...]], local: frozenset[str]) -> None:
        root, parts = chain
        if root in local:
            if root == "loop" and (len(parts) != 1 or parts[0] not in _LOOP):
                raise _Refused("template-attribute", f"loop has only: {', '.join(sorted(_LOOP))}", "loop")
            bad = next((one for one in parts if isinstance(one, str) and one.startswith("__")), None)
            if bad:
                raise _Refused("template-attribute", f'"{bad}" is not allowed in a template', bad)
            return
        use = resolve(root, parts, self.each)
        if isinstance(use, str):
            raise _Refused("template-name", use, root)
        if any(isinstance(one, str) and one.startswith("__") for one in parts) and root != "row":
            bad = next(str(one) for one in parts if str(one).startswith("__"))
            raise _Refused("template-attribute", f'"{bad}" is not allowed in a template', bad)
        self.uses[use] = None


def _unknown(kind: str, name: str, known: dict[str, Callable[..., object]]) -> _Refused:
    close = difflib.get_close_matches(name, known, 3)
    fix = f"Did you mean {' or '.join(close)}?" if close else f"The {kind}s are: {', '.join(sorted(known))}"
    return _Refused(f"unknown-{kind}", f'There is no {kind} "{name}"', name, fix)


def chained(node: nodes.Node) -> tuple[str, tuple[str | int, ...]] | None:
    """`a.b['c'][0]` as a root and constant parts; None for anything else."""
    parts: list[str | int] = []
    while True:
        if isinstance(node, nodes.Name):
            return node.name, tuple(reversed(parts))
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
            node = node.node
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            value = node.arg.value
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                return None
            parts.append(value)
            node = node.node
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Neg):
            inner = node.arg.node
            if not isinstance(inner, nodes.Const) or not isinstance(inner.value, int):
                return None
            parts.append(-inner.value)
            node = node.node
        else:
            return None


def resolve(root: str, parts: tuple[str | int, ...], each: int) -> Use | str:  # noqa: C901 (one case a word)
    """What a chain of names reads, or why it reads nothing."""
    shown = root + "".join(f".{one}" if isinstance(one, str) else f"[{one}]" for one in parts)
    if root in {"vars", "run"}:
        if len(parts) != 1 or (root == "run" and parts[0] != "date"):
            return f"{root} is used as {'vars.NAME' if root == 'vars' else 'run.date'}"
        return Use("vars" if root == "vars" else "run", 0, parts, shown)
    level = 0
    if each:
        rest = list(parts)
        name = root
        while name == "parent":
            level += 1
            if level > each:
                return "There is no further parent here"
            if not rest:
                return "parent is used as parent.COLUMN"
            name = str(rest.pop(0))
            if name == "position" and level < each and not rest:
                return Use("position", level, (), shown)
        if level == 0 and root == "position" and not parts:
            return Use("position", 0, (), shown)
        if level == 0 and root == "item":
            return Use("item", 0, parts, shown)
        if level:
            return Use("column", level, (name, *rest), shown)
    elif root in {"parent", "item", "position"}:
        return f"\"{root}\" exists only inside each; a column of that name is row['{root}']"
    if root == "row":
        if not parts or not isinstance(parts[0], str):
            return "row is used as row['COLUMN']"
        return Use("column", 0, parts, shown)
    if root == "loop":
        return "loop exists only inside a for"
    return Use("column", 0, (root, *parts), shown)
