"""The four calls: read, decide, perhaps commit, answer."""

from __future__ import annotations

from typing import Any, NamedTuple

from syncengine.sandbox.engine import payload as payloads
from syncengine.sandbox.engine.answer import Answer
from syncengine.sandbox.engine.commit import Commit
from syncengine.sandbox.engine.decide import decide, rejected
from syncengine.sandbox.world import World


class Told(NamedTuple):
    """The answer, and a hint for whoever set the sandbox up."""

    result: dict[str, Any]
    hint: str


def identify_reconcile(
    world: World, body: Any, source: str | None, options: str = "", *, enhanced: bool, commit: bool
) -> Told:
    """One call of the engine; `commit` false is the dry run."""
    chosen = payloads.options(options, enhanced)
    payload = payloads.read(body)
    decide(world, payload, chosen, source)
    refused = rejected(payload.items, payload.relations, chosen)
    if commit and not refused:
        Commit(world, source or "").run(payload)
    return Told(Answer(world, chosen, commit and not refused).render(payload), _hint(world, source, payload))


def _hint(world: World, source: str | None, payload: payloads.Payload) -> str:
    known = world.sources()
    wanted = [
        name
        for name in (source, *(item.source[0] for item in payload.items if item.source))
        if name and name not in known
    ]
    if wanted:
        return f"seed this: {{choices: {{cmdb_ci.discovery_source: [{wanted[0]!r}]}}}}".replace("'", '"')
    return ""
