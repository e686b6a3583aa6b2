"""What the README and the tutorial show is what the commands say: run as written, compared line by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.conftest import ROOT, CommandLine, Ran


def blocks(file: str) -> list[str]:
    """The code blocks of a page, in order."""
    return re.findall(r"^```[a-z]*\n(.*?)^```", (ROOT / file).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def plain(text: str) -> list[str]:
    """Lines without what differs from one sandbox or run to the next."""
    text = re.sub(r"sandbox:[0-9a-f]{32}", "sandbox:ID", text)
    text = re.sub(r"^(Plan +)[0-9a-f]{16}", r"\1HASH", text, flags=re.MULTILINE)
    text = re.sub(r"in [0-9]+\.[0-9] s;", "in S;", text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def says(ran: Ran, shown: str) -> None:
    """The command said what the page shows, on stdout or stderr."""
    assert plain(shown) in (plain(ran.out), plain(ran.err)), ran.out + ran.err


@pytest.fixture
def place(tmp_path: Path) -> CommandLine:
    """An empty folder with a folder for specs."""
    (tmp_path / "specs").mkdir()
    return CommandLine(tmp_path)


def test_the_tutorial_runs_as_written(place: CommandLine) -> None:
    """Every file is the page's, every answer too."""
    table, first, first_said, second, second_said, third, planned, applied, planned_again, guarded = blocks(
        "docs/tutorial.md"
    )
    csv, spec = place.folder / "specs" / "inventory.csv", place.folder / "specs" / "inventory.yaml"

    csv.write_text(table, "utf-8")
    spec.write_text(first, "utf-8")
    says(place.run("validate").ends(3), first_said)
    spec.write_text(second, "utf-8")
    place.run("validate").ends(0)
    says(place.run("plan").ends(4), second_said)
    spec.write_text(third, "utf-8")
    says(place.run("plan", "-o", "first.plan").ends(0), planned)
    says(place.run("apply", "first.plan", "--yes").ends(0), applied)
    place.edit("specs/inventory.csv", lambda text: re.sub(r"^DB-02.*\n", "", text, flags=re.MULTILINE))
    place.edit("specs/inventory.csv", lambda text: text.replace(";repair;", ";in use;"))
    shown = place.run("plan", "-o", "second.plan").ends(0).out
    assert plain(shown)[: len(plain(planned_again))] == plain(planned_again)
    place.edit("specs/inventory.yaml", lambda text: text + "\nguards: {max_creates: 20}\n")
    more = "".join(f"NEW-{number};N{number};Debian GNU/Linux 12;in use;;4;\n" for number in range(40))
    place.edit("specs/inventory.csv", lambda text: text + more)
    says(place.run("plan").ends(10), guarded)
    place.run("plan", "--allow", "inventory.servers.creates=40").ends(0)


def test_the_plan_in_the_readme_is_a_real_one(place: CommandLine) -> None:
    """The spec of the README, two servers applied, one changed and one added: the plan that it shows."""
    spec, planned = blocks("README.md")[2:4]
    (place.folder / "specs" / "hosts.yaml").write_text(spec, "utf-8")
    hosts = place.folder / "specs" / "hosts.csv"
    rows = [f"web-0{number},CZ9000A{number},Debian GNU/Linux 12,16384\n" for number in (1, 2, 3)]
    hosts.write_text("name,serial_number,os,ram\n" + rows[0] + rows[1], "utf-8")
    place.run("plan", "-o", "first.plan").ends(0)
    place.apply("first.plan")
    hosts.write_text("name,serial_number,os,ram\n" + rows[0] + rows[1].replace("16384", "32768") + rows[2], "utf-8")

    says(place.run("plan").ends(0), planned)


def test_every_command_and_option_is_in_its_page(place: CommandLine) -> None:
    """docs/cli.md names each command and each option that --help shows."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    top = place.run("--help").ends(0).out
    commands = re.findall(r"^  ([a-z]+) {2,}", top.split("Commands:")[1], re.MULTILINE)
    assert len(commands) >= 9

    for command in commands:
        assert f"syncengine {command}" in page, command
        for option in re.findall(
            r"^ +(?:-[a-z], )?(--[a-z-]+)", place.run(command, "--help").ends(0).out, re.MULTILINE
        ):
            assert option == "--help" or option in page, f"{command} {option}"
