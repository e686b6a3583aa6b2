"""A client of the sandbox's 4me side that knows nothing of ours."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import requests

from syncengine.sandbox.process import Running

Row = dict[str, str]


class Client:
    """Requests, and answers as they come."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.account = running.fourme.account
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {running.fourme.token}"

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """GET below /v1."""
        return self.session.get(f"{self.running.url}/v1{path}", params=parameters, timeout=30)

    def upload(self, kind: str, content: str | bytes, **more: Any) -> requests.Response:
        """Upload a file."""
        body = content.encode() if isinstance(content, str) else content
        files = {"file": (f"{kind}.csv", body, "text/csv")}
        return self.session.post(f"{self.running.url}/v1/import", data={"type": kind}, files=files, timeout=30, **more)

    def job(self, token: str, kind: str = "import") -> dict[str, Any]:
        """A job after everything that is due has been done."""
        self.running.run_imports()
        answer = self.get(f"/{kind}/{token}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def load(self, kind: str, content: str | bytes | Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Import a file to its end."""
        answer = self.upload(kind, content if isinstance(content, (str, bytes)) else written(content))
        assert answer.status_code == 200, answer.text
        return self.job(answer.json()["token"])

    def results(self, kind: str, content: str | bytes | Sequence[Mapping[str, str]]) -> dict[str, int]:
        """The counters of an import that are not nothing."""
        return {name: number for name, number in self.load(kind, content)["results"].items() if number}

    def log(self, told: Mapping[str, Any]) -> list[str]:
        """The lines of a job's log, without its head."""
        return requests.get(told["logfile"], timeout=30).text.splitlines()[2:]

    def ask_export(self, kind: str, **more: str) -> requests.Response:
        """Ask for an export."""
        return self.session.post(f"{self.running.url}/v1/export", data={"type": kind, **more}, timeout=30)

    def exported(self, kind: str, **more: str) -> str:
        """An export's text."""
        answer = self.ask_export(kind, **more)
        assert answer.status_code == 200, answer.text
        told = self.job(answer.json()["token"], "export")
        assert told["state"] == "done", told
        return requests.get(told["url"], timeout=30).content.decode()

    def rows(self, kind: str, *columns: str, **more: str) -> list[Row]:
        """The rows of an export, without the API user's person; with columns, only those that are filled."""
        found = list(csv.DictReader(io.StringIO(self.exported(kind, **more), newline="")))
        found = [row for row in found if row.get("Primary Email") != "api.user@sandbox.example"]
        return [{c: row[c] for c in columns if row[c]} for row in found] if columns else found


def written(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def me(sandbox: Running) -> Iterator[Client]:
    """A client of an empty sandbox that counts no bursts."""
    sandbox.settings(fourme__burst_requests=0)
    client = Client(sandbox)
    yield client
    client.session.close()


Seed = Callable[..., None]


@pytest.fixture
def seed(me: Client) -> Seed:
    """Seeds records by type."""

    def apply(**records: Any) -> None:
        me.running.seed({"4me": {"records": records}}, force=True)

    return apply
