"""What a plan does for rows of people: the export taken and kept, every row of the source compared with it."""

from __future__ import annotations

import csv
import gc
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from syncengine.changes import Change, Parcel, StepInfo
from syncengine.cli import CIRCLES
from syncengine.targets import Manner
from syncengine.targets.fourme import FourmeTarget
from syncengine.transport.auth import NoAuth
from syncengine.transport.client import Client
from syncengine.transport.foreign import Foreign
from syncengine.transport.fourme import Fourme
from syncengine.transport.reader import Reader
from syncengine.transport.wire import is_loopback


def changes(path: str) -> Iterator[Change]:
    """The source's rows as operations."""
    with Path(path).open(newline="") as stream:
        for op, row in enumerate(csv.DictReader(stream)):
            key = row.pop("Source ID")
            del row["Source"]
            yield Change(op, "4me", 0, key=key, values=row)


def main(url: str, source: str) -> None:
    """Compare, and say how many rows are what."""
    gc.set_threshold(*CIRCLES)  # as the command line does
    here = urlsplit(url)
    files = Foreign([here.hostname or ""], ports=[here.port or 80], may_reach=is_loopback, plain=True)
    step = StepInfo("s.people", "4me", "4me", "HR", "s.people", options={"type": "people"})
    with tempfile.TemporaryDirectory() as place:
        target = FourmeTarget([step], Manner(account="acme", state=Path(place)))
        reader = Reader(Client(url, NoAuth(), Fourme("acme")), foreign=files)
        target.prepare([step], reader)
        rows, found = changes(source), Counter[str]()
        while block := list(islice(rows, target.ask_size)):
            found.update(seen.action for seen in target.preview(Parcel("HR", block, [], []), reader))
        print(dict(sorted(found.items())))


if __name__ == "__main__":
    main(*sys.argv[1:])
