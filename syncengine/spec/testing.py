"""Runs the tests of specs: rows given, records expected, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncengine.changes import BadRow, Find, Link, Pair, Part, Record, Row, StepRef
from syncengine.errors import Place, SpecError
from syncengine.mapping import Mapper
from syncengine.mapping.lookups import Tables
from syncengine.spec.columns import Headers
from syncengine.spec.documents import compose, decode, read_bytes
from syncengine.spec.files import file_kind
from syncengine.spec.keys import read_keys
from syncengine.spec.loader import load_specs
from syncengine.spec.model import Project, Spec, Step, TestCase
from syncengine.spec.reader import Reader
from syncengine.spec.report import Wrong
from syncengine.spec.suites import SPEC, SUITE_KEYS
from syncengine.spec.tests import read_tests

RUN_DATE = "2000-01-01"


@dataclass(frozen=True, slots=True)
class Result:
    """A test that ran; it passed where nothing differs."""

    spec: str
    case: TestCase
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.differences


def run_tests(spec: Spec, cases: Sequence[TestCase] | None = None) -> list[Result]:
    """All tests of a spec, in the order of the file."""
    return [Result(spec.name, case, tuple(_run(spec, case))) for case in (spec.tests if cases is None else cases)]


def load_suite(project: Project, path: Path) -> tuple[Spec, tuple[TestCase, ...]]:
    """A file of `kind: tests`: its spec, and its tests; SpecError with all that is wrong with either."""
    shown = str(path)
    node = compose(decode(read_bytes(path, shown), shown), shown)
    note = Reader(shown)
    fields = read_keys(node, SUITE_KEYS, note, "a tests file", extra="x-")
    try:
        target = path.parent / fields.need(SPEC)
        spec = load_specs(project, [target])[0]
        cases = read_tests(fields.node.get("tests"), tuple(spec.sources), tuple(spec.steps), note)
    except Wrong:
        raise SpecError(note.problems) from None
    except IndexError:
        raise SpecError(_no_spec(note, fields.position(SPEC))) from None
    Headers(project.root, dict(spec.sources), note).check(note.columns)
    errors = [one for one in note.problems if one.severity == "error"]
    if errors:
        raise SpecError(errors)
    return spec, cases


def _no_spec(note: Reader, position: Any) -> list[Any]:
    note.add("wrong-kind", "The file under spec is no spec", position)
    return note.problems


def is_suite(path: Path) -> bool:
    """Whether a file says `kind: tests`."""
    try:
        node = compose(decode(read_bytes(path, str(path)), str(path)), str(path))
        return file_kind(node, str(path), Reader(str(path))) == "tests"
    except (SpecError, Wrong):
        return False


def _run(spec: Spec, case: TestCase) -> Iterator[str]:
    names = list(case.expect) if case.expect_error is None else list(spec.steps)
    failed: list[str] = []
    for name in names:
        step = spec.steps[name]
        made = list(_mapper(spec, step, case).records(_rows(spec, case, step.source)))
        bad = [one for one in made if isinstance(one, BadRow) and one.level != "warn"]
        failed += [one.problem.message for one in bad]
        if case.expect_error is None:
            for one in bad:
                if one.level == "fail":
                    yield f"{name}: row {one.place.row} failed: {one.problem.message}"
            records = [one for one in made if not isinstance(one, BadRow)]
            if len(records) != len(case.expect[name]) or not records:
                for one in bad:
                    if one.level == "skip":
                        yield f"{name}: row {one.place.row} is an error: {one.problem.message} (see expect_error)"
            yield from _compare(name, case.expect[name], records, case)
    if case.expect_error is not None and not any(case.expect_error in message for message in failed):
        found = "; ".join(failed) if failed else "no row failed"
        yield f'expected an error with "{case.expect_error}", found: {found}'


def _mapper(spec: Spec, step: Step, case: TestCase) -> Mapper:
    tables = Tables(lambda name: _rows(spec, case, name), lambda name: spec.sources[name].rules.no_value)
    return Mapper(step.recipe, run_date=case.now or RUN_DATE, vars={**spec.vars, **case.vars}, tables=tables)


def _rows(spec: Spec, case: TestCase, source: str) -> list[Row]:
    text_only = spec.sources[source].rules.text_only
    given = case.given.get(source, ())
    return [Row(_texts(row) if text_only else row, Place("given", number, 0)) for number, row in enumerate(given, 1)]


def _texts(row: Mapping[str, object]) -> dict[str, object]:
    words = {True: "true", False: "false"}
    return {name: words[value] if isinstance(value, bool) else value for name, value in row.items()}


def _compare(
    name: str, expected: Sequence[Mapping[str, object]], found: Sequence[Record | Pair], case: TestCase
) -> Iterator[str]:
    if len(expected) != len(found):
        keys = ", ".join(one.key or "?" for one in found if isinstance(one, Record))
        yield f"{name}: expected {len(expected)} record{'' if len(expected) == 1 else 's'}, found {len(found)}" + (
            f" ({keys})" if keys else ""
        )
    for number, (wanted, one) in enumerate(zip(expected, found, strict=False), 1):
        where = name if len(expected) == 1 else f"{name} {number}"
        if isinstance(one, Pair):
            shown = {"parent": _end(one.parent, case), "child": _end(one.child, case)}
            yield from _plain(where, {key: wanted.get(key) for key in ("parent", "child") if key in wanted}, shown)
        else:
            yield from _record(where, wanted, one, case)


def _record(where: str, wanted: Mapping[str, object], one: Record, case: TestCase) -> Iterator[str]:
    yield from _plain(where, {key: wanted[key] for key in ("class", "key") if key in wanted}, {
        "class": one.class_name, "key": one.key})  # fmt: skip
    if "fields" in wanted:
        values = {**one.values, **{name: _end(ref, case) for name, ref in one.refs}}
        yield from _plain(f"{where}.fields", _mapping(wanted["fields"]), values, exactly=case.exactly)
    for key, parts in (("lookup", one.lookup), ("related", one.related)):
        if key in wanted:
            yield from _parts(f"{where}.{key}", wanted[key], parts, exactly=case.exactly)
    if "relations" in wanted:
        yield from _links(f"{where}.relations", wanted["relations"], one.links, case)


def _parts(where: str, wanted: object, parts: Sequence[Part], *, exactly: bool) -> Iterator[str]:
    items = wanted if isinstance(wanted, list) else []
    if len(items) != len(parts):
        yield f"{where}: expected {len(items)}, found {len(parts)}"
    for number, (item, part) in enumerate(zip(items, parts, strict=False), 1):
        inner = _mapping(item)
        if "class" in inner:
            yield from _plain(f"{where} {number}", {"class": inner["class"]}, {"class": part.class_name})
        yield from _plain(f"{where} {number}.fields", _mapping(inner.get("fields")), part.values, exactly=exactly)


def _links(where: str, wanted: object, links: Sequence[Link], case: TestCase) -> Iterator[str]:
    items = wanted if isinstance(wanted, list) else []
    if len(items) != len(links):
        yield f"{where}: expected {len(items)}, found {len(links)}"
    for number, (item, link) in enumerate(zip(items, links, strict=False), 1):
        shown = {"type": link.type, link.role: _end(link.other, case)}
        yield from _plain(f"{where} {number}", _mapping(item), shown)


def _end(ref: StepRef | Find, case: TestCase) -> str:
    """A reference as a test writes it: the key of a record of ours, or what a stub gives."""
    if isinstance(ref, StepRef):
        return ref.key
    for row in case.find.get(ref.table, ()):
        if all(str(row.get(name)) == value for name, value in ref.where):
            return str(row.get(ref.take))
    return f"not found: {ref.table} where " + ", ".join(f"{name}={value}" for name, value in ref.where)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _plain(
    where: str, wanted: Mapping[str, object], found: Mapping[str, str], *, exactly: bool = False
) -> Iterator[str]:
    for name, value in wanted.items():
        text = "nothing" if value is None else {True: "true", False: "false"}.get(value, value)  # type: ignore[call-overload]
        shown = found.get(name, "nothing")
        if shown != text:
            yield f"{where}.{name}: expected {text}, found {shown}"
    if exactly:
        for name in found:
            if name not in wanted:
                yield f"{where}.{name}: expected nothing, found {found[name]}"


def documents(paths: Sequence[Path]) -> list[Path]:
    """All files of `kind: tests` among files and folders."""
    found: list[Path] = []
    for path in paths:
        inner = sorted([*path.rglob("*.yaml"), *path.rglob("*.yml")]) if path.is_dir() else [path]
        found.extend(one for one in inner if one.is_file() and is_suite(one))
    return list(dict.fromkeys(found))
