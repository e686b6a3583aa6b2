"""Runs what the README and the tutorial tell the reader to run, and says what the commands answer.

python -m tests.examples.shown     writes the present answers into the pages
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.command_line import ROOT
from tests.examples.conftest import Examples

BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
Answers = Mapping[int, str]
"""The answer that belongs into each code block, by its number."""


def blocks(page: str) -> list[str]:
    """The code blocks of a page, in order."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


def tutorial(place: Examples) -> Answers:
    """docs/tutorial.md from beginning to end; the exit codes are those that the page names."""
    table, first, _, second, _, third, *_ = blocks("docs/tutorial.md")
    csv, spec = place.folder / "specs" / "inventory.csv", place.folder / "specs" / "inventory.yaml"
    csv.parent.mkdir()
    csv.write_text(table, "utf-8")
    spec.write_text(first, "utf-8")
    answers = {2: place.run("validate").ends(3).err}
    spec.write_text(second, "utf-8")
    place.run("validate").ends(0)
    answers[4] = place.run("plan").ends(4).err
    spec.write_text(third, "utf-8")
    answers[6] = place.run("plan", "-o", "first.plan").ends(0).out
    answers[7] = place.run("apply", "first.plan", "--yes").ends(0).out
    place.edit("specs/inventory.csv", lambda text: re.sub(r"^DB-02.*\n", "", text, flags=re.MULTILINE))
    place.edit("specs/inventory.csv", lambda text: text.replace(";repair;", ";in use;"))
    answers[8] = place.run("plan", "-o", "second.plan").ends(0).out.partition("\nWritten to")[0]
    place.edit("specs/inventory.yaml", lambda text: text + "\nguards: {max_creates: 20}\n")
    more = "".join(f"NEW-{number};N{number};Debian GNU/Linux 12;in use;;4;\n" for number in range(40))
    place.edit("specs/inventory.csv", lambda text: text + more)
    answers[9] = place.run("plan").ends(10).err
    place.run("plan", "--allow", "inventory.servers.creates=40").ends(0)
    return answers


def readme(place: Examples) -> Answers:
    """The spec of the README, two servers applied, one changed and one added."""
    (place.folder / "specs").mkdir()
    (place.folder / "specs" / "hosts.yaml").write_text(blocks("README.md")[2], "utf-8")
    hosts = place.folder / "specs" / "hosts.csv"
    head, rows = "name,serial_number,os,ram\n", [f"web-0{n},CZ9000A{n},Debian GNU/Linux 12,16384\n" for n in (1, 2, 3)]
    hosts.write_text(head + rows[0] + rows[1], "utf-8")
    place.run("plan", "-o", "first.plan").ends(0)
    place.apply("first.plan")
    hosts.write_text(head + rows[0] + rows[1].replace("16384", "32768") + rows[2], "utf-8")
    return {3: place.run("plan").ends(0).out}


def plain(text: str) -> list[str]:
    """Lines without what differs from one sandbox or run to the next."""
    text = re.sub(r"sandbox:[0-9a-f]{32}", "sandbox:ID", text)
    text = re.sub(r"^(Plan +)[0-9a-f]{16}", r"\1HASH", text, flags=re.MULTILINE)
    text = re.sub(r"in [0-9]+\.[0-9] s\b", "in S", text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def write(page: str, answers: Answers) -> None:
    """Put answers into a page."""
    text = (ROOT / page).read_text("utf-8")
    found = list(BLOCK.finditer(text))
    for number in sorted(answers, reverse=True):
        begin, end = found[number].span(1)
        text = text[:begin] + answers[number].strip("\n") + "\n" + text[end:]
    (ROOT / page).write_text(text, "utf-8")


def main() -> None:
    """Refresh both pages."""
    for page, run in (("docs/tutorial.md", tutorial), ("README.md", readme)):
        with tempfile.TemporaryDirectory() as place:
            write(page, run(Examples(Path(place))))


if __name__ == "__main__":
    main()
