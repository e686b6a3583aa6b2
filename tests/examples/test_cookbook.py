"""docs/cookbook.md runs as it is written: files, specs, and what they send."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from syncengine.changes import BadRow, Pair, Record, StepRef
from syncengine.spec import find_project, load_environment, load_specs, mapper, open_source
from tests.command_line import ROOT
from tests.examples.conftest import Examples
from tests.sandboxed import Shared

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _recipes() -> dict[str, list[tuple[str, str, str]]]:
    """The code blocks by title: language, what follows it, text."""
    _, *sections = (ROOT / "docs" / "cookbook.md").read_text("utf-8").split("\n## ")
    return {one.partition("\n")[0]: BLOCK.findall(one) for one in sections}


RECIPES = _recipes()
_ANSWERS = {"sends", "plan", "test", ""}


def _written(place: Path, blocks: list[tuple[str, str, str]]) -> dict[str, str]:
    """Writes the files; returns the answers, and the command that is told, by kind."""
    answers: dict[str, str] = {}
    for language, said, text in blocks:
        name, *how = said.split()[:1] + said.split()[1:] or [""]
        if name in _ANSWERS:
            answers[name or language] = text
            continue
        path = place / ("specs/" + name if "/" not in name else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = text.replace("\n", "\r\n") if "crlf" in how else text
        path.write_bytes(text.encode("cp1252" if "cp1252" in how else "utf-8"))
    return answers


def _sent(place: Path) -> list[dict[str, Any]]:
    (spec,) = load_specs(find_project(place), [place / "specs" / "spec.yaml"])
    found: list[dict[str, Any]] = []
    for step in spec.steps.values():
        for one in mapper(spec, step, run_date="2026-11-20").records(open_source(spec, step.source).rows()):
            if isinstance(one, Record):
                found.append({"class": one.class_name, **one.values})
            elif isinstance(one, Pair):
                found.append({end: _key(getattr(one, end)) for end in ("parent", "child")})
            elif isinstance(one, BadRow):
                found.append({"error": one.problem.code})
    return found


def _key(end: object) -> str:
    return end.key if isinstance(end, StepRef) else str(end)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_does_what_the_page_says(title: str, shared: Shared, tmp_path: Path) -> None:
    """What is sent, planned or tested is what stands there."""
    answers = _written(tmp_path, RECIPES[title])
    if "sends" in answers:
        expected = [json.loads(line) for line in answers["sends"].splitlines()]
        sent = _sent(tmp_path)
        shown = [
            one if "class" in more else {k: v for k, v in one.items() if k != "class"}
            for one, more in zip(sent, expected, strict=False)
        ]
        assert shown == expected
        assert len(sent) == len(expected)
    shared.lend(tmp_path)
    project = Examples(tmp_path)
    if "sh" in answers:
        project.run("plan").ends(10)
    if "plan" in answers:
        command = shlex.split(answers.get("sh", "syncengine plan"))[1:]
        assert project.run(*command).ends(0).out.splitlines()[-1] == answers["plan"].strip()
    if "test" in answers:
        assert project.run("test").ends(0).out == answers["test"]
    if (tmp_path / "environments").exists():
        assert load_environment(find_project(tmp_path), "prod").protect_apply_needs_plan
    elif not answers.keys() & {"sends", "plan", "test"}:
        pytest.fail("this recipe says nothing that can be checked")


def test_there_are_eighteen_recipes() -> None:
    """Each with a title of its own."""
    assert len(RECIPES) == 18
