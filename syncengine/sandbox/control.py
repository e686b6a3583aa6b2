"""`/__sandbox/…`: the sandbox's own controls, for tests and for the command line. They need the start token."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.responses import Response

from syncengine.sandbox import seeds
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.faults import Faults, RuleError
from syncengine.sandbox.fourme.service import Fourme
from syncengine.sandbox.maps import doubts
from syncengine.sandbox.servicenow.errors import json_response
from syncengine.sandbox.settings import SETTINGS
from syncengine.sandbox.staging.sets import ImportSets
from syncengine.sandbox.world import World

Parameters = dict[str, list[str]]
Action = Callable[["Control", Parameters, bytes], Any]


class Control:
    """Ledger, clock, faults, seeds, settings, reset."""

    def __init__(
        self,
        world: World,
        accounts: Accounts,
        faults: Faults,
        imports: ImportSets,
        fourme: Fourme,
        token: str,
    ) -> None:
        self.world = world
        self.imports = imports
        self.fourme = fourme
        self.accounts = accounts
        self.faults = faults
        self._token = token

    def handle(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response:
        """Answer one control request."""
        if not hmac.compare_digest(headers.get("x-sandbox-token", ""), self._token):
            return json_response({"error": "the header X-Sandbox-Token is missing or wrong"}, 401)
        action = _ACTIONS.get((method, path.removeprefix("/__sandbox/")))
        if action is None:
            return json_response({"error": f"no such control: {method} {path}"}, 404)
        try:
            return json_response(action(self, parse_qs(query, keep_blank_values=True), body))
        except (ValueError, RuleError) as fault:
            return json_response({"error": str(fault)}, 400)

    def _identity(self, _query: Parameters, _body: bytes) -> Any:
        return {"identity": self.world.identity, "time": self.world.clock.now()}

    def _ledger(self, query: Parameters, _body: bytes) -> Any:
        kinds = [kind for text in query.get("kind", []) for kind in text.split(",") if kind]
        table = query.get("table", [""])[0]
        after = int(query.get("from", ["1"])[0]) - 1
        limit = int(query.get("limit", ["100000"])[0])
        return {"entries": self.world.ledger.entries(after, kinds, table, limit), "last": self.world.ledger.last}

    def _counts(self, _query: Parameters, _body: bytes) -> Any:
        return {"counts": self.world.ledger.counts(), "last": self.world.ledger.last, "faults": self.faults.counts()}

    def _clock(self, _query: Parameters, body: bytes) -> Any:
        self.world.advance(float(orjson.loads(body)["advance"]))
        self.imports.run()
        self.fourme.jobs.run()
        return {"time": self.world.clock.now()}

    def _faults(self, _query: Parameters, _body: bytes) -> Any:
        return {"rules": self.faults.describe(), "met": self.faults.met}

    def _add_fault(self, _query: Parameters, body: bytes) -> Any:
        given = orjson.loads(body)
        rules = given if isinstance(given, list) else given.get("rules", [given.get("rule")])
        for rule in rules:
            self.faults.add(str(rule))
        return {"rules": self.faults.describe()}

    def _clear_faults(self, _query: Parameters, _body: bytes) -> Any:
        self.faults.clear()
        return {"rules": []}

    def _run_imports(self, _query: Parameters, _body: bytes) -> Any:
        self.imports.run()
        self.fourme.jobs.run()
        return {"next": self.imports.due()}

    def _reset(self, _query: Parameters, _body: bytes) -> Any:
        self.world.reset()
        self.fourme.reset()
        self.faults.forget()
        return {"reset": True}

    def _seed(self, query: Parameters, body: bytes) -> Any:
        document = seeds.read(body.decode())
        force = query.get("force", [""])[0] == "true"
        applied = seeds.apply(self.world, self.accounts, document, force=force, fourme=self.fourme)
        store = self.world.store
        told = doubts(self.world.tables, store.all("sys_transform_map"), store.all("sys_transform_entry"))
        return {"applied": applied, "doubts": list(told) if "staging" in document else []}

    def _settings(self, _query: Parameters, _body: bytes) -> Any:
        return {
            name: {"value": self.world.settings[name], "default": s.default, "choices": list(s.choices), "why": s.why}
            for name, s in sorted(SETTINGS.items())
        }

    def _set_settings(self, _query: Parameters, body: bytes) -> Any:
        for name, value in orjson.loads(body).items():
            self.world.settings.set(name, value)
        self.world.save_settings()
        self.world.derive()
        return self.world.settings.changed()


_ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", "identity"): Control._identity,
    ("GET", "ledger"): Control._ledger,
    ("GET", "ledger/counts"): Control._counts,
    ("POST", "clock"): Control._clock,
    ("GET", "faults"): Control._faults,
    ("POST", "faults"): Control._add_fault,
    ("DELETE", "faults"): Control._clear_faults,
    ("POST", "imports"): Control._run_imports,
    ("POST", "reset"): Control._reset,
    ("POST", "seed"): Control._seed,
    ("GET", "settings"): Control._settings,
    ("POST", "settings"): Control._set_settings,
}
