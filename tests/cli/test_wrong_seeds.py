"""A seed of the project that the sandbox does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncengine.sandbox import seeds
from tests.project import Project


def test_a_wrong_seed_is_told_at_its_file(tmp_path: Path) -> None:
    """The sandbox does not start with it; no reset is advised, which would not help."""
    project = Project(tmp_path / "project")
    project.fill(2)
    seed = project.folder / "sandbox" / "seed.yaml"
    seed.parent.mkdir(exist_ok=True)
    seed.write_text("staging: {u_x: {columns: {u_name: 100}}}\n")
    done = project.process("plan").ends(3)
    assert "error[wrong-seed]: staging.u_x.columns.u_name: a type, or [type, label, length]" in done.err
    assert "at sandbox/seed.yaml" in done.err
    assert "Traceback" not in done.err
    assert "reset" not in done.err


@pytest.mark.parametrize("text", ["11111111111111111111111111111111", "0064", "9.10", "1e5"])
def test_what_looks_like_a_number_in_a_seed_stays_as_it_is_written(text: str) -> None:
    """A sys_id of digits only is no number, and no zero gets lost."""
    assert seeds.read(f"records: {{sys_user: [{{employee_number: {text}}}]}}")["records"]["sys_user"] == [
        {"employee_number": text}
    ]


def test_a_length_in_a_seed_is_a_number() -> None:
    """What a number says as it is written is one."""
    assert seeds.read("staging: {u_x: {columns: {u_name: [string, Name, 100]}}}")["staging"]["u_x"] == {
        "columns": {"u_name": ["string", "Name", 100]}
    }
