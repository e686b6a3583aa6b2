"""The two shapes of body: the record of a row, and the lookup or related items around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from syncengine.changes import Link, Pair, Part, Record
from syncengine.errors import Position
from syncengine.mapping import operators
from syncengine.mapping.batches import Cells
from syncengine.mapping.compiler import Body
from syncengine.mapping.model import ClassCases, ClassMap, FindIn, LinkRule, PartRule, Recipe, RecordRef, Shaped
from syncengine.mapping.scope import Setting
from syncengine.mapping.values import mapped, utc

Fault = tuple[int, str, operators.Wrong, str, Position]
"""Number of the input, key, what is wrong, the field it is in, and where the spec says so."""


def _levels(each: int) -> list[str]:
    """The variables that carry the row, its elements and their places from one function to the next."""
    names = [f"r{level}" for level in range(each + 1)]
    for level in range(each):
        names += [f"item{level}", f"pos{level}"]
    return names


class RecordBody:
    """A step's record: `extract`, `cells` and `build` over a batch of rows."""

    def __init__(self, recipe: Recipe, setting: Setting) -> None:
        self.recipe = recipe
        self.each = 1 if recipe.each is not None else 0
        self.body = body = Body(setting, self.each)
        self.parts = [PartBody(rule, setting, self.each) for rule in (*recipe.lookup, *recipe.related)]
        self.late_when = False
        test = "True"
        if recipe.when is not None:
            test = body.condition(recipe.when)
            self.late_when = bool(body.pending)
        when_lines = body.out.lines
        body.out.lines = []
        self._build(test if self.late_when else "True", when_lines if self.late_when else [])
        body.finish()
        early = None if self.late_when or recipe.when is None else (when_lines, test)
        self._extract(early)
        levels = _levels(self.each)
        names = ", ".join(["row", *levels, *body.slots.values()])
        self.input_names = names
        self.extract = self._compile_extract()
        self.build = self._compile_build(names)
        self.fused = None if body.pending or self.parts else self._fuse()
        """Both at once, where nothing has to happen between them."""
        skip = 1 + len(levels)
        cells = body.cells
        self.cells: Callable[[Sequence[tuple[Any, ...]]], list[tuple[Any, ...]]] | None = (
            None if cells is None else lambda inputs: cells.run([one[skip:] for one in inputs])
        )
        self.positions: tuple[tuple[str, Position], ...] = (("", recipe.position), *body.positions)

    def _extract(self, early: tuple[list[str], str] | None) -> None:
        out: list[str] = ["def extract(rows, add, fault):", "    filtered = 0", "    for row in rows:"]
        put = out.append
        put("        try:")
        pad = "            "
        if self.recipe.each is None:
            put(f"{pad}r0 = row[0]")
        else:
            path = Body(self.body.setting, 0)
            name = path.column(self.recipe.each).source
            put(f"{pad}r0 = row[0]")
            out.extend(pad + line for line in path.loads)
            self.body.names.update({key: value for key, value in path.names.items() if key not in self.body.names})
            put(f"{pad}r1 = r0")
            put(f"{pad}for pos0, item0 in enumerate(listed({name}), 1):")
            pad += "    "
            put(f"{pad}r0 = item0 if item0.__class__ is dict else EMPTY")
        out.extend(pad + line for line in self.body.loads)
        if early is not None:
            lines, test = early
            out.extend(pad + line for line in lines)
            put(f"{pad}if not ({test}):")
            put(f"{pad}    filtered += 1")
            put(f"{pad}    continue")
        names = ", ".join(["row", *_levels(self.each), *self.body.slots.values()])
        put(f"{pad}add(({names},))")
        put("        except Wrong as wrong:")
        put("            fault(row, wrong)")
        put("    return filtered")
        self.extract_source = "\n".join(out) + "\n"

    def _fuse(self) -> Callable[..., int]:
        """The lines of `extract` up to where a row is complete, then the lines of `build`."""
        lines = self.extract_source.split("\n")
        at = next(number for number, line in enumerate(lines) if line.lstrip().startswith("add(("))
        pad = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        inner = [pad + line for line in ("key = ''", "at = -1", "try:")]
        inner += [pad[8:] + line for line in self.body.out.lines]
        inner += [pad + "except Wrong as wrong:", pad + "    bad(row, key, wrong, at)"]
        source = "\n".join(["def fused(rows, emit, bad, fault):", *lines[1:at], *inner, *lines[at + 1 :]])
        return self.body.compiled(source, "fused", f"{self.recipe.step} fused")

    def _compile_extract(self) -> Callable[..., int]:
        return self.body.compiled(self.extract_source, "extract", f"{self.recipe.step} extract")

    def _build(self, test: str, when_lines: list[str]) -> None:
        body, recipe = self.body, self.recipe
        out = body.out
        out.indent = 3
        for line in when_lines:
            out(line)
        if test != "True":
            out(f"if not ({test}):")
            out("    filtered += 1")
            out("    continue")
        out("at = -1")
        if recipe.relation_type:
            self._pair()
            return
        out("key = ''")
        distinct = self._distinct()
        if recipe.key:
            self._key()
        out("values = {}")
        if any(_is_ref(rule.value) for rule in recipe.fields):
            out("refs = []")
        name = self._class()
        body.fields(recipe.fields)
        if recipe.links:
            out("links = []")
            for rule in recipe.links:
                self._link(rule)
        seen = "None"
        if recipe.seen_at is not None:
            body.at("seen_at", recipe.position)
            value = body.text(recipe.seen_at)
            seen = body.new()
            out(f"{seen} = None if {value} is None else {body.const(utc)}({value})")
        count = len(recipe.lookup)
        for number in range(len(self.parts)):
            out(f"part{number} = parts[{number}][n]")
            out(f"if part{number}.__class__ is tuple: raise part{number}[0]")
        lookup = " + ".join(f"part{n}" for n in range(count)) or "()"
        related = " + ".join(f"part{n}" for n in range(count, len(self.parts))) or "()"
        native = "''"
        if recipe.native_key is not None:
            body.at("native_key", recipe.position)
            native = f"({body.text(recipe.native_key)} or '')"
        made = {
            "step": repr(recipe.step),
            "key": "key",
            "class_name": name,
            "values": "values",
            "refs": "tuple(refs)" if any(_is_ref(rule.value) for rule in recipe.fields) else "()",
            "lookup": f"tuple({lookup})" if recipe.lookup else "()",
            "related": f"tuple({related})" if recipe.related else "()",
            "links": "tuple(links)" if recipe.links else "()",
            "place": "row[1]",
            "seen_at": seen,
            "native_key": native,
        }
        # A record is built as the tuple that it is: its own constructor takes twice as long.
        parts = [made[one] if one in made else body.const(Record._field_defaults[one]) for one in Record._fields]
        out(f"emit((row, new(Record, ({', '.join(parts)})), {distinct}))")

    def _distinct(self) -> str:
        """The values that make a record different from others; rows without one are dropped."""
        body, out = self.body, self.body.out
        names = [body.text(column) for column in self.recipe.distinct]
        if not names:
            return "None"
        out(f"if {' or '.join(f'not {name}' for name in names)}:")
        out("    filtered += 1")
        out("    continue")
        return f"({', '.join(names)},)"

    def _key(self) -> None:
        body, out = self.body, self.body.out
        body.at("key", self.recipe.position)
        parts = [body.text(value) for value in self.recipe.key]
        for part in parts:
            out(f"if not {part}: raise NoKey")
        if len(parts) > 1:
            for part in parts:
                out(f"if '|' in {part}: raise Wrong('bad-key', 'A part of a key may not contain a |', {part})")
        out(f"key = {parts[0]}" if len(parts) == 1 else f"key = '|'.join(({', '.join(parts)}))")
        out("if len(key) > 1000: raise Wrong('bad-key', 'The key is longer than 1000 characters', key)")
        no_key = operators.Wrong(
            "no-key",
            "The row has no key",
            "",
            "Fill it in the source;  bad_rows: skip  leaves such rows out.",
        )
        body.names["NoKey"] = no_key

    def _class(self) -> str:
        body, rule = self.body, self.recipe.class_rule
        if isinstance(rule, str):
            return repr(rule)
        body.at("cmdb", self.recipe.position)
        name = body.new("class_")
        body.out(f"{name} = None")
        if isinstance(rule, ClassMap):
            value = body.text(rule.origin)
            find = body.const(mapped(rule.map, "empty"), "M")
            body.out(f"{name} = {find}({value})" + (f" or {rule.default!r}" if rule.default else ""))
        else:
            self._cases(rule, name)
        said = "The row fits none of the classes"
        body.out(f"if {name} is None: raise Wrong('no-class', {said!r}, '', 'Add a case, or  otherwise: CLASS.')")
        return name

    def _cases(self, rule: ClassCases, name: str) -> None:
        out = self.body.out
        for condition, class_name in rule.cases:
            out(f"if {name} is None:")
            out.indent += 1
            test = "True" if condition is None else self.body.condition(condition)
            out(f"if {test}: {name} = {class_name!r}")
            out.indent -= 1

    def _link(self, rule: LinkRule) -> None:
        body, out = self.body, self.body.out
        body.at("relations", rule.position)
        depth = out.indent
        if rule.when is not None:
            out(f"if {body.condition(rule.when)}:")
            out.indent += 1
        code = body.value(rule.other).source
        shown = str(rule.position)
        out(f"if {code} is not None: links.append(Link({rule.type!r}, {rule.role!r}, {code}, {shown!r}))")
        out.indent = depth

    def _pair(self) -> None:
        body, out, recipe = self.body, self.body.out, self.recipe
        if recipe.parent is None or recipe.child is None:
            raise ValueError("a relation step has two ends")
        ends = []
        for role, end in (("parent", recipe.parent), ("child", recipe.child)):
            body.at(role, end.position)
            code = body.value(end).source
            out(f"if {code} is None:")
            out.indent += 1
            if end.if_missing == "omit":
                out("filtered += 1")
                out("continue")
            else:
                kind = "Skip" if end.if_missing == "skip_row" else "Wrong"
                said = f"The row names no {role}"
                out(
                    f"raise {kind}('no-{role}', {said!r}, '', 'Filter such rows with  when, or say  if_missing: omit.')"
                )
            out.indent -= 1
            ends.append(code)
        out(f"emit((row, Pair({recipe.step!r}, {recipe.relation_type!r}, {ends[0]}, {ends[1]}, row[1]), None))")

    def _compile_build(self, names: str) -> Callable[..., int]:
        body = self.body
        body.names.update(Record=Record, Pair=Pair, Link=Link, new=tuple.__new__)
        head = ["def build(inputs, cells, parts, emit, bad):", "    filtered = 0"]
        if body.pending:
            cells = ", ".join(name for name, _ in body.pending)
            head.append(f"    for n, (({names},), ({cells},)) in enumerate(zip(inputs, cells)):")
        else:
            head.append(f"    for n, ({names},) in enumerate(inputs):")
        head += ["        key = ''", "        at = -1", "        try:"]
        tail = [
            "        except Wrong as wrong:",
            "            bad(row, key, wrong, at)",
            "    return filtered",
        ]
        self.build_source = "\n".join([*head, *body.out.lines, *tail]) + "\n"
        return body.compiled(self.build_source, "build", f"{self.recipe.step} build")


def _is_ref(value: object) -> bool:
    return isinstance(value.origin if isinstance(value, Shaped) else value, (RecordRef, FindIn))


class PartBody:
    """A lookup or related item: parts for every record of a batch."""

    def __init__(self, rule: PartRule, setting: Setting, outer: int) -> None:
        self.rule = rule
        self.outer = outer
        self.each = outer + (1 if rule.each is not None else 0)
        self.body = body = Body(setting, self.each)
        body.out.indent = 3
        if rule.when is not None:
            body.out(f"if not ({body.condition(rule.when)}): continue")
        body.out("values = {}")
        body.fields(rule.fields)
        body.out(f"if values: emit(owner, Part({rule.class_name!r}, values))")
        body.finish()
        body.names["Part"] = Part
        levels = _levels(self.each)
        self.extract = self._extract(levels)
        self.build = self._build(levels)
        self.skip = 1 + len(levels)

    def _extract(self, levels: list[str]) -> Callable[..., None]:
        lines = ["def extract(inputs, add, fault):"]
        put = lines.append
        outer = _levels(self.outer)
        put(f"    for owner, (row, {', '.join(outer)}, *_) in enumerate(inputs):")
        put("        try:")
        pad = "            "
        if self.rule.each is not None:
            path = Body(self.body.setting, self.outer)
            name = path.column(self.rule.each).source
            lines.extend(pad + line for line in path.loads)
            shift = [f"r{level + 1}" for level in range(self.outer, -1, -1)]
            for target in shift:
                put(f"{pad}{target} = r{int(target[1:]) - 1}")
            for level in range(self.outer - 1, -1, -1):
                put(f"{pad}item{level + 1}, pos{level + 1} = item{level}, pos{level}")
            put(f"{pad}for pos0, item0 in enumerate(listed({name}), 1):")
            pad += "    "
            put(f"{pad}r0 = item0 if item0.__class__ is dict else EMPTY")
        lines.extend(pad + line for line in self.body.loads)
        put(f"{pad}add(({', '.join(['owner', *levels, *self.body.slots.values()])},))")
        put("        except Wrong as wrong:")
        put("            fault(owner, wrong)")
        return self.body.compiled("\n".join(lines) + "\n", "extract", f"{self.rule.class_name} extract")

    def _build(self, levels: list[str]) -> Callable[..., None]:
        body = self.body
        names = ", ".join(["owner", *levels, *body.slots.values()])
        head = ["def build(inputs, cells, emit, fault):"]
        if body.pending:
            cells = ", ".join(name for name, _ in body.pending)
            head.append(f"    for ({names},), ({cells},) in zip(inputs, cells):")
        else:
            head.append(f"    for ({names},) in inputs:")
        head += ["        try:"]
        tail = ["        except Wrong as wrong:", "            fault(owner, wrong)"]
        source = "\n".join([*head, *body.out.lines, *tail]) + "\n"
        return body.compiled(source, "build", f"{self.rule.class_name} build")

    def run(self, inputs: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The parts of every input; a tuple holds the fault of one that cannot be made."""
        found: list[Any] = [[] for _ in inputs]
        taken: list[tuple[Any, ...]] = []

        def fault(owner: int, wrong: operators.Wrong) -> None:
            found[owner] = (wrong,)

        def emit(owner: int, part: Part) -> None:
            if found[owner].__class__ is list:
                found[owner].append(part)

        self.extract(inputs, taken.append, fault)
        cells: Cells | None = self.body.cells
        self.build(taken, cells.run([one[self.skip :] for one in taken]) if cells else (), emit, fault)
        return found


__all__ = ["Fault", "PartBody", "RecordBody"]
