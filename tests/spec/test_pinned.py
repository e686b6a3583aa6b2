"""What a plan pins of a spec: what it depends on, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.spec import find_project, load_specs

SPEC = """\
syncengine: 1
use: shared.yaml
source: {inline: [{a: "1", b: x}]}
steps:
  s: {cmdb: cmdb_ci_server, key: a, fields: {name: {from: b, map: state}}}
"""
SHARED = "syncengine: 1\nkind: shared\nmaps: {state: {x: one, y: two}}\n"
PROJECT = "syncengine: 1\nkind: project\ndata_source: T\nvars: {domain: acme.example}\n"


def digest(folder: Path, spec: str = SPEC, shared: str = SHARED, project: str = PROJECT) -> str:
    for name, text in (("s.yaml", spec), ("shared.yaml", shared), ("syncengine.yaml", project)):
        (folder / name).write_text(text)
    (read,) = load_specs(find_project(folder), [folder / "s.yaml"])
    return read.digest


@pytest.mark.parametrize(
    "change",
    [
        {"spec": f"# a remark\n\n{SPEC}"},
        {"spec": SPEC.replace("fields: {", "fields:   {")},
        {"spec": SPEC.replace('"1"', "'1'")},
        {"spec": f"{SPEC}description: what it is for\nowner: Unix Ops\ntags: [weekly]\n"},
        {"spec": f"{SPEC}x-mine: {{any: thing}}\n"},
        {"spec": f"{SPEC}tests: {{one: {{given: {{source: [{{a: '1', b: x}}]}}, expect: {{s: []}}}}}}\n"},
        {"shared": f"{SHARED}# a remark\ndescription: words\n"},
        {"project": f"{PROJECT}description: words\nspecs: '*.yaml'\n"},
    ],
)
def test_what_no_plan_depends_on_is_not_pinned(tmp_path: Path, change: dict[str, str]) -> None:
    assert digest(tmp_path, **change) == digest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": SPEC.replace("key: a", "key: b")},
        {"spec": SPEC.replace("b: x", "b: y")},
        {"spec": SPEC.replace("key: a", 'key: "a"')},
        {"spec": SPEC.replace("cmdb_ci_server", "cmdb_ci_linux_server")},
        {"spec": f"{SPEC}guards: {{max_creates: 1}}\n"},
        {"spec": f"{SPEC}vars: {{domain: other.example}}\n"},
        {"shared": SHARED.replace("one", "three")},
        {"project": PROJECT.replace("data_source: T", "data_source: Other")},
        {"project": PROJECT.replace("acme", "other")},
        {"project": f"{PROJECT}defaults: {{timezone: Europe/Paris}}\n"},
        {"project": f"{PROJECT}guards: {{max_creates: 1}}\n"},
    ],
)
def test_whatever_a_plan_depends_on_is_pinned(tmp_path: Path, change: dict[str, str]) -> None:
    assert digest(tmp_path, **change) != digest(tmp_path)
