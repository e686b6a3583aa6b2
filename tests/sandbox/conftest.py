"""A sandbox for tests: in process for the engine, behind HTTP for everything that is seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from syncengine.sandbox import seeds
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.engine.calls import identify_reconcile
from syncengine.sandbox.process import Running
from syncengine.sandbox.world import World

OPTIONS = "partial_payloads:false,partial_commits:true,deduplicate_payloads:false"
Ask = Callable[..., dict[str, Any]]


class Engine:
    """The engine of one world, called as the API calls it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(
        self,
        items: list[dict[str, Any]],
        relations: list[dict[str, Any]] | None = None,
        *,
        commit: bool = True,
        enhanced: bool = True,
        options: str = OPTIONS,
        source: str | None = "ImportSet",
        **more: Any,
    ) -> dict[str, Any]:
        body = orjson.loads(orjson.dumps({"items": items, "relations": relations or [], **more}))
        told = identify_reconcile(self.world, body, source, options, enhanced=enhanced, commit=commit)
        self.world.refresh()
        answer: dict[str, Any] = orjson.loads(orjson.dumps(told.result))
        return answer

    def seed(self, **sections: Any) -> None:
        """Apply a seed document."""
        seeds.apply(self.world, Accounts(self.world.store), sections, force=True)

    def records(self, table: str, **where: str) -> list[dict[str, str]]:
        """The records of one table, with their sys_id."""
        found = [{**r.values, "sys_id": r.sys_id} for r in self.world.store.all(*self.world.tables[table].below)]
        return [r for r in found if all(r.get(name, "") == value for name, value in where.items())]


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine over an empty CMDB."""
    world = World()
    yield Engine(world)
    world.store.close()


class Http:
    """A client that knows nothing of ours: requests, and the answers as they come."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = (running.user, running.password)
        self.session.headers.update({"Accept": "application/json"})
        if running.ca is not None:
            self.session.verify = str(running.ca)

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """GET below /api/now."""
        return self.session.get(f"{self.running.url}/api/now{path}", params=parameters, timeout=10)

    def post(self, path: str, body: Any, **parameters: Any) -> requests.Response:
        """POST below /api/now."""
        return self.session.post(f"{self.running.url}/api/now{path}", json=body, params=parameters, timeout=10)

    def rows(self, table: str, query: str = "") -> list[dict[str, Any]]:
        """Rows of a table, references as bare ids."""
        asked = {"sysparm_query": query, "sysparm_exclude_reference_link": "true"}
        found: list[dict[str, Any]] = self.get(f"/table/{table}", **asked).json()["result"]
        return found

    def engine(self, call: str, *items: dict[str, Any], timeout: float = 10) -> requests.Response:
        """One call of the engine."""
        path = f"{self.running.url}/api/now/identifyreconcile{call}"
        parameters = {"sysparm_data_source": "ImportSet", "options": OPTIONS}
        return self.session.post(path, json={"items": list(items)}, params=parameters, timeout=timeout)


@pytest.fixture
def http(sandbox: Running) -> Iterator[Http]:
    """A client of an empty sandbox."""
    client = Http(sandbox)
    yield client
    client.session.close()


def server(name: str, **values: str) -> dict[str, Any]:
    """A Linux server with a native key."""
    return {
        "className": "cmdb_ci_linux_server",
        "internal_id": f"server-{name}",
        "values": {"name": name, **values},
        "sys_object_source_info": {"source_name": "ImportSet", "source_native_key": f"host/{name}"},
    }


def sample(name: str) -> dict[str, Any]:
    """One documented request with its answer."""
    found: dict[str, Any] = orjson.loads((Path(__file__).parent / "samples" / f"{name}.json").read_bytes())
    return found
