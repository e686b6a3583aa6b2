# mypy: ignore-errors
# It runs in an environment of its own, whose packages are not in ours.
"""The same comparison by diffsync: both sides loaded as models, then diffed."""

from __future__ import annotations

import csv
import sys
import urllib.request
from pathlib import Path

from diffsync import Adapter, DiffSyncModel


class Person(DiffSyncModel):
    """A person."""

    _modelname = "person"
    _identifiers = ("source_id",)
    _attributes = ("mail", "name", "title", "location", "organization", "site", "manager")
    source_id: str
    mail: str
    name: str
    title: str
    location: str
    organization: str
    site: str
    manager: str


class People(Adapter):
    """All people of a file."""

    person = Person
    top_level = ("person",)

    def load(self, lines: object) -> None:
        """Read them."""
        for row in csv.DictReader(lines):
            self.add(
                Person(
                    source_id=row["Source ID"],
                    mail=row["Primary Email"],
                    name=row["Name"],
                    title=row["Job Title"],
                    location=row["Location"],
                    organization=row["Organization"],
                    site=row["Site"],
                    manager=row["Manager"],
                )
            )


def main(url: str, source: str) -> None:
    """Compare, and say how many rows are what."""
    there, here = People(), People()
    with urllib.request.urlopen(f"{url}/file.csv") as answer:
        there.load(line.decode() for line in answer)
    with Path(source).open(newline="") as stream:
        here.load(stream)
    print(there.diff_from(here).summary())


if __name__ == "__main__":
    main(*sys.argv[1:])
