"""Formatting a spec changes nothing: other quotes, other order of keys, flow or block, comments, line ends."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from syncengine.changes import BadRow, Find, Record
from syncengine.errors import Place
from syncengine.spec import Checked, Project, Spec, check_specs, discovery, mapper, open_source
from syncengine.spec.documents import compose, read_bytes
from syncengine.spec.nodes import MapNode, Node, Scalar, is_number

ROOT = Path(__file__).parents[2]
SPECS = [
    "specs/servers.yaml",
    "specs/applications.yaml",
    "examples/inventory/servers.yaml",
    "examples/inventory/apps.yaml",
    "examples/nested-hosts/hosts.yaml",
    "examples/night/datacentre.yaml",
    "examples/datacentre/infrastructure.yaml",
]
ROWS = 40
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_. ]*[A-Za-z0-9_])?")


def _word(node: Scalar, random: Random) -> str:
    """The scalar with other quotes; what is a number, true or nothing without quotes stays so."""
    if node.kind != "text":
        return node.text
    ways = [json.dumps(node.text, ensure_ascii=False)]
    if "\n" not in node.text:
        ways.append("'" + node.text.replace("'", "''") + "'")
    if _PLAIN.fullmatch(node.text) and node.text not in {"true", "false", "null"} and not is_number(node.text):
        ways.append(node.text)
    return random.choice(ways)


def _flow(node: Node, random: Random) -> str:
    if isinstance(node, Scalar):
        return _word(node, random)
    space = random.choice(["", " "])
    if isinstance(node, MapNode):
        inner = ", ".join(f"{_word(key, random)}: {_flow(value, random)}" for key, value in _shuffled(node, random))
        return f"{{{space}{inner}{space}}}"
    return f"[{space}{', '.join(_flow(one, random) for one in node.items)}{space}]"


def _shuffled(node: MapNode, random: Random) -> list[tuple[Scalar, Node]]:
    return random.sample(node.pairs, len(node.pairs))


def _block(node: Node, random: Random, indent: int) -> list[str]:
    """Lines of a mapping or list that is not empty, some of its parts in flow style."""
    lines = []
    before = " " * indent
    items = (
        _shuffled(node, random) if isinstance(node, MapNode) else [(None, one) for one in getattr(node, "items", ())]
    )
    for key, value in items:
        head = before + ("-" if key is None else f"{_word(key, random)}:")
        if random.random() < 0.1:
            lines.append(f"{before}# a remark")
        empty = isinstance(value, Scalar) or not (value.pairs if isinstance(value, MapNode) else value.items)
        if empty or random.random() < 0.4:
            lines.append(f"{head} {_flow(value, random)}")
        else:
            lines.append(head)
            lines += _block(value, random, indent + random.choice([2, 4]))
    return lines


def _plain(value: Any) -> Any:
    """Without the places in the file, and without an order where there is none."""
    if isinstance(value, BadRow):
        return value.key, value.problem.code, value.problem.message, value.level
    if isinstance(value, Place):
        return value.file, value.row
    if isinstance(value, Find):
        return value.table, dict(value.where), value.take, value.if_missing
    if isinstance(value, Record):
        return {**_plain(value._asdict()), "refs": _plain(dict(value.refs))}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if name != "position"}
    if isinstance(value, (list, tuple, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        return _plain(structs.asdict(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.name != "position"}
    return value


def _meaning(spec: Spec) -> dict[str, Any]:
    """What a plan is made of: records of every step, and what the step says about them."""
    found: dict[str, Any] = {"guards": _plain(spec.guards), "source": spec.data_source, "vars": dict(spec.vars)}
    for name, step in spec.steps.items():
        rows = islice(open_source(spec, step.source).rows(), ROWS)
        made = [_plain(one) for one in mapper(spec, step, run_date="2026-11-20").records(rows)]
        said = {
            one: _plain(getattr(step, one))
            for one in ("kind", "source", "data_source", "feed", "relation_type", "reclassify", "touch", "on_error")
        }
        more = {"vanished": _plain(step.vanished), "compare": step.compare_false, "sensitive": step.sensitive}
        found[name] = (made, said, more, sorted(step.classes))
    return found


@cache
def _before(name: str) -> tuple[MapNode, dict[str, Any]]:
    path = ROOT / name
    checked = check_specs(Project(ROOT), [path])
    assert not checked.problems
    return compose(path.read_text(encoding="utf-8"), name), _meaning(checked.specs[0])


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), ending=st.sampled_from(["\n", "\r\n"]))
def test_formatting_a_spec_does_not_change_its_plan(name: str, seed: int, ending: str) -> None:
    """The same records with the same values, from the same file written differently."""
    node, meant = _before(name)
    text = ending.join(_block(node, Random(seed), 0)) + ending
    path = ROOT / name
    checked = _checked(path, text.encode())
    assert checked.problems == [], text
    assert _meaning(checked.specs[0]) == meant


def _checked(path: Path, data: bytes) -> Checked:
    """The check of a file as if it held these bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "read_bytes", lambda one, shown: data if one == path else read_bytes(one, shown))
        return check_specs(Project(ROOT), [path])
