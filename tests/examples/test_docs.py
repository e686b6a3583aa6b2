"""What the README and the tutorial show is what the commands say: run as written, compared line by line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import ROOT
from tests.examples import shown
from tests.examples.conftest import Examples
from tests.sandboxed import Shared


@pytest.mark.parametrize(("page", "run"), [("docs/tutorial.md", shown.tutorial), ("README.md", shown.readme)])
def test_the_answers_in_a_page_are_those_of_the_commands(
    page: str, run: Callable[[Examples], shown.Answers], shared: Shared, tmp_path: Path
) -> None:
    """Files and commands are the page's, and so is every answer; refresh with python -m tests.examples.shown."""
    written = shown.blocks(page)
    shared.lend(tmp_path)

    for number, answer in run(Examples(tmp_path)).items():
        assert shown.plain(answer) == shown.plain(written[number])


def test_every_command_and_option_is_in_its_page(project: Examples) -> None:
    """docs/cli.md names each command and each option that --help shows."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    top = project.run("--help").ends(0).out
    commands = re.findall(r"^  ([a-z]+) {2,}", top.split("Commands:")[1], re.MULTILINE)
    assert len(commands) >= 9

    for command in commands:
        assert f"syncengine {command}" in page, command
        help_text = project.run(command, "--help").ends(0).out
        for option in re.findall(r"^ +(?:-[a-z], )?(--[a-z-]+)", help_text, re.MULTILINE):
            assert option == "--help" or option in page, f"{command} {option}"
