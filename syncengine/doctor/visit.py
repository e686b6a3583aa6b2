"""What is examined: an environment's connection, and what the specs of the project want of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from syncengine.spec.model import Dialect, Spec, Step
from syncengine.transport.answer import Answer, Request
from syncengine.transport.client import Client
from syncengine.transport.instance import Instance
from syncengine.transport.reader import Reader
from syncengine.transport.retry import Patience

PATIENCE = Patience(attempts=2, first_contact=1, outage=10.0, look_every=5.0)
"""A doctor does not wait for a server to come back."""


@dataclass
class Visit:
    """One examination; what is learnt is kept for the looks that follow."""

    fresh: Callable[[], Client]
    """A client that has not been refused yet: after two refusals a client sends nothing more."""
    specs: Sequence[Spec]
    wall: Callable[[], float]
    """Seconds since 1970 by the clock of this machine."""
    login: str
    """Kind of login: basic, oauth, token, certificate."""
    dialect: Dialect = "enhanced"
    insert_multiple: str = "labels"
    place: str = ""
    """Where the connection stands, for what has to be changed there."""
    proxy: str = ""
    is_sandbox: bool = False
    closed: dict[str, str] = field(default_factory=dict)
    """What turned out to be shut, and why: other looks need it."""
    headers: list[tuple[float, Mapping[str, str]]] = field(default_factory=list)
    """Headers of the answers, and when they came."""

    def call(self, request: Request, client: Client | None = None) -> Answer:
        """One request without repetition."""
        answer = (client or self.client).call(request)
        if answer.status:
            self.headers.append((self.wall(), answer.headers))
        return answer

    @cached_property
    def client(self) -> Client:
        """The client of everything that a refusal does not concern."""
        return self.fresh()

    @cached_property
    def first(self) -> Answer:
        """The first answer of the server: it shows reach and login at once."""
        return self.call(self.client.manners.probe)

    def reader(self) -> Reader:
        """A reader of its own for a look that may be refused."""
        return Reader(self.fresh(), patience=PATIENCE)

    @cached_property
    def instance(self) -> Instance:
        """What the instance says about itself."""
        return Instance(self.reader())

    @property
    def steps(self) -> list[Step]:
        """All steps of all specs."""
        return [step for spec in self.specs for step in spec.steps.values()]

    @property
    def makes_cis(self) -> bool:
        """Whether a spec makes CIs or relations, or there is none yet."""
        return not self.steps or any(step.kind in ("cmdb", "relation") for step in self.steps)

    def ask_for(self, what: str, api: str = "") -> str:
        """What to ask the admin for, so that this login may do something; `api` where a whole API is shut."""
        asked = f"ask the admin for {what} for {self.client.who}"
        if not api:
            return asked
        if self.login == "oauth":
            return f"{asked}; a securely scoped OAuth client also needs an auth scope for the {api}"
        return f"{asked}, and that no REST API access policy shuts it out of the {api}"
