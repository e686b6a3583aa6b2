"""A ServiceNow that costs next to nothing: every request is answered after a fixed time, every item is new.

    python -m benchmarks.server --latency 20 --class cmdb_ci_linux_server

Prints its port and serves until its standard input is closed. It knows just what a plan reads before it asks. It
exists to measure clients: the sandbox, which decides as the engine does, takes longer for a request than a client.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import orjson

ATTEMPTS: list[Any] = [
    {"info": "sys_object_source NO_MATCH", "identifierName": "", "attemptResult": "NO_MATCH", "attributes": []},
    *(
        {
            "identifierName": "Hardware Rule",
            "attemptResult": "NO_MATCH",
            "attributes": [attribute],
            "searchOnTable": "cmdb_ci_hardware",
            "hybridEntryCiAttributes": [],
        }
        for attribute in ("serial_number", "name")
    ),
]
ITEM = (
    b'{"className":"%b","operation":"INSERT",%b"identificationAttempts":'
    + orjson.dumps(ATTEMPTS)
    + b',"inputIndices":[%d],"markers":[],"mergedPayloadIds":[],"errorCount":0,"warningCount":0}'
)
COLUMNS = (
    "name serial_number os os_version ip_address ram cpu_count cpu_core_count disk_space environment operational_status"
    " virtual fqdn short_description sys_id sys_class_name"
)
RULES = {
    "applies_to": "cmdb_ci_hardware",
    "is_independent": True,
    "identifiers": [
        {"attributes": "serial_number", "table": "cmdb_ci_hardware", "referenced_field": ""},
        {"attributes": "name", "table": "cmdb_ci_hardware", "referenced_field": ""},
    ],
}
HOSTING = {
    "sys_id": "1" * 32,
    "parent_type": "cmdb_ci_appl",
    "child_type": "cmdb_ci_hardware",
    "rel_type": "2" * 32,
    "is_reverse": "false",
}
TABLES: dict[str, list[dict[str, str]]] = {
    "cmdb_metadata_hosting": [HOSTING],
    "cmdb_rel_type": [{"sys_id": "2" * 32, "name": "Runs on::Runs"}],
    "sys_choice": [{"sys_id": "3" * 32, "value": "Other Automated"}],
}


@dataclass
class Taken:
    """How many items were committed; `GET /count` says it."""

    items: int = 0


class Exchange(asyncio.Protocol):
    """One connection: requests come in, answers leave `latency` later."""

    def __init__(self, latency: float, class_name: bytes, taken: Taken) -> None:
        self.latency = latency
        self.class_name = class_name
        self.taken = taken
        self.data = bytearray()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.data[:end])
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(self.data) < end + 4 + length:
                return
            body = bytes(self.data[end + 4 : end + 4 + length])
            del self.data[: end + 4 + length]
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
            answer = self.answer(method, target.decode(), body)
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, answer)

    def answer(self, method: bytes, target: str, body: bytes) -> bytes:
        path = target.partition("?")[0]
        count = 0
        if method == b"POST":
            is_commit = "query" not in path.rpartition("/")[2].lower()
            items = body.count(b'"className"')
            first = self.taken.items + 1
            if is_commit:
                self.taken.items += items
            made = [
                ITEM
                % (
                    self.class_name,
                    b'"sysId":"%032x","identifierEntrySysId":"%032x",' % (first + n, 7) if is_commit else b"",
                    n,
                )
                for n in range(items)
            ]
            said = (
                b'{"result":{"items":[%b],"relations":[],"additionalCommittedItems":[],"additionalCommittedRelations":[],"hasError":false}}'
                % b",".join(made)
            )
        elif "/cmdb/meta/" in path:
            name = path.rpartition("/")[2]
            parents = {
                self.class_name.decode(): "cmdb_ci_server",
                "cmdb_ci_server": "cmdb_ci_hardware",
                "cmdb_ci_hardware": "cmdb_ci",
                "cmdb_ci": "",
            }
            attributes = [{"element": column} for column in COLUMNS.split()]
            said = orjson.dumps(
                {
                    "result": {
                        "name": name,
                        "parent": parents.get(name, ""),
                        "identification_rules": RULES,
                        "attributes": attributes,
                    }
                }
            )
        elif path == "/count":
            said = b"%d" % self.taken.items
        else:
            rows = TABLES.get(path.rpartition("/")[2], [])
            count, said = len(rows), orjson.dumps({"result": rows})
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"
            f"X-Total-Count: {count}\r\nContent-Length: {len(said)}\r\n\r\n"
        )
        return head.encode() + said


async def serve(latency: float, class_name: str) -> None:
    """Serve on a free port of 127.0.0.1 until standard input ends."""
    loop = asyncio.get_running_loop()
    taken = Taken()
    server = await loop.create_server(lambda: Exchange(latency, class_name.encode(), taken), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="An instance that answers everything after a fixed time.")
    parser.add_argument("--latency", type=float, default=20.0, help="milliseconds (default: 20)")
    parser.add_argument("--class", dest="class_name", default="cmdb_ci_linux_server")
    options = parser.parse_args()
    asyncio.run(serve(options.latency / 1000, options.class_name))


if __name__ == "__main__":
    main()
