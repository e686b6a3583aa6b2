"""200,000 people compared with an export of 4me, beside diffsync on the same data."""

from __future__ import annotations

import csv
import http.server
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Row, Took, run
from benchmarks.network import PEERS
from benchmarks.others import environment

HEADER = (
    "ID",
    "Primary Email",
    "Source",
    "Source ID",
    "Name",
    "Job Title",
    "Location",
    "Organization",
    "Site",
    "Manager",
)
FASTER, SMALLER = 10, 0.1


def written(folder: Path, rows: int) -> None:
    """An export, and a source in which one row in a hundred has another title."""
    with (folder / "export.csv").open("w", newline="") as there, (folder / "source.csv").open("w", newline="") as here:
        export, source = csv.writer(there, lineterminator="\n"), csv.writer(here, lineterminator="\n")
        export.writerow(HEADER)
        source.writerow(HEADER[1:])
        for n in range(rows):
            title = f"Title {n % 50}"
            row = (f"p{n:07}@x.example", "HR", f"E{n:07}", f"Person {n}", title, f"Room {n % 900}")
            named = (f"Org {n % 200}", f"Site {n % 50}", f"p{n % 100:07}@x.example")
            export.writerow((n + 1, *row, *named))
            source.writerow((*row[:4], "Changed" if n % 100 == 0 else title, *row[5:], *named))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server that exports the file as 4me does."""

    class Exports(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _say(self, body: bytes, kind: str = "application/json") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(b'{"token":"68ef5ef0f64c012f2e4598cdb41e68"}')

        def do_GET(self) -> None:
            if self.path.startswith("/v1/"):
                host = self.headers["Host"]
                self._say(f'{{"state":"done","url":"http://{host}/file.csv"}}'.encode())
            else:
                self._say((folder / "export.csv").read_bytes(), "text/csv")

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exports)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def measured(rows: int) -> list[Row]:
    """The lines for a number of people."""
    head = f"{rows:,} people and an export"
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place, served(Path(place)) as url:
        folder = Path(place)
        written(folder, rows)
        ours = run((sys.executable, "-m", "benchmarks.compare_ours", url, "source.csv"), folder).must(0)
        python = environment(folder / "peer", PEERS / "diffsync.txt")
        theirs = run((python, PEERS / "diffsync_peer.py", url, "source.csv"), folder).must(0)
        speed, memory = theirs.wall / ours.wall, ours.peak / theirs.peak
        return [
            Row(head, _said(ours, rows)),
            Row(f"{head}: diffsync", _said(theirs, rows)),
            Row(f"{head}: beside diffsync", f"{speed:.1f} × as fast", f"≥ {FASTER} ×", speed >= FASTER),
            Row(f"{head}: memory", f"{memory:.2f} of diffsync's", f"≤ {SMALLER}", memory <= SMALLER),
        ]


def _said(took: Took, rows: int) -> str:
    return f"{took.wall:.1f} s, {took.cpu / rows * 1e6:.0f} µs CPU a row, {took.peak:.0f} MiB"
