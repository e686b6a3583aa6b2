"""One batch: ask again, write the intent, send, settle, write the result. The step that every runner shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from syncengine.changes import Change, Outcome, Parcel, Seen
from syncengine.errors import Problem, RemoteError, SyncError
from syncengine.execution.drift import is_done, is_told, is_uncompared, moved, same
from syncengine.files import reach
from syncengine.parcels import fill_ends, halves, hushed, keep, secrets_of, without
from syncengine.targets import Answered, Refused, Running, Started, Target, Watch
from syncengine.transport.clock import Clock
from syncengine.transport.reader import Writer

if TYPE_CHECKING:
    from syncengine.execution.ahead import Ahead
    from syncengine.execution.journal import Journal

ATTEMPTS = 3
"""How often a batch is sent in all, each time after it was seen that the last time left nothing."""
SETTLED = ("settled by looking",)
HELD = (0.1, 0.6, 2.0)
"""Waits before what another writer held is sent again, in settle times: a quarter of an hour in all, as long as
the engine's longest lock (id-engine-error-messages, Australia)."""


@dataclass(slots=True)
class Done:
    """What came of a batch."""

    number: int
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stop: SyncError | None = None
    """Nothing more can be sent: the server refused the login, or is gone."""
    step_stop: Problem | None = None
    """The steps of this batch go no further, and why."""
    requests: int = 0
    open: list[int] = field(default_factory=list)
    """Operations that were sent; those among them without an outcome are unclear."""
    later: set[int] = field(default_factory=set)
    """Operations that another writer held: they are sent again when the rest is done."""
    waits: int = 0
    has_conflict: bool = False
    """A conflict was answered once, and the target asked again because of it."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Sensitive values of the batch: a target may say them in its messages, and nobody else may."""


class BatchRunner:
    """Sends batches to one target; shared by the threads of a run."""

    def __init__(
        self,
        target: Target,
        writer: Writer,
        journal: Journal,
        clock: Clock,
        settle: float,
        *,
        stale_check: bool,
        resuming: bool,
        settling: Callable[[int, str, float], None],
        waiting: Callable[[int, str], None] = lambda _batch, _said: None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.target = target
        self.writer = writer
        self.journal = journal
        self.clock = clock
        self.seconds = settle
        self.stale_check = stale_check
        self.resuming = resuming
        self.settling = settling
        self.waiting = waiting
        self.is_over = is_over

    def run(
        self,
        number: int,
        parcel: Parcel,
        blocked: list[Outcome],
        *,
        ambiguous: bool,
        token: str = "",
        waits: int = 0,
        ahead: Ahead | None = None,
    ) -> Done:
        """Do a batch; `ambiguous` says that an earlier attempt left an intent without a result.

        With a `token` that attempt started work on the target, which is then followed to its end. `waits` says how
        often the rest of the batch was put back because another writer held it. `ahead` has looked at the target for
        this batch and others.

        Everything that is decided is in the journal when this returns; a SyncError inside ends up in `stop`.
        """
        done = Done(number, waits=waits)
        if waits and not self._has_waited(number, HELD[waits - 1] * self.seconds):
            return done
        done.secrets = secrets_of(parcel, self.target.steps)
        try:
            if blocked:
                self._decide(done, blocked)
            if ambiguous and token:
                self._follow(done, parcel, token)
            elif ambiguous:
                self._settle(done, parcel, "the last attempt was interrupted")
            if (parcel.items or parcel.relations) and (self.stale_check or any(map(is_uncompared, parcel.items))):
                self._stop_stale(done, parcel, implied=True, ahead=ahead)
            self._send(done, parcel)
        except SyncError as error:
            error.problems = tuple(_hushed(problem, done.secrets) for problem in error.problems)
            done.stop = error
            self._left_open(done)
        return done

    def _left_open(self, done: Done) -> None:
        """What was sent and has no outcome on disk is unclear, whatever the server said."""
        told = {outcome.op for outcome in done.outcomes} | done.later
        why = "the run stopped before its outcome was recorded"
        done.outcomes += [Outcome(op, "unknown", code="unclear", message=why) for op in done.open if op not in told]

    def _decide(self, done: Done, outcomes: list[Outcome]) -> None:
        if outcomes:
            if done.secrets:
                outcomes = [structs.replace(one, message=hushed(one.message, done.secrets)) for one in outcomes]
            self.journal.result(done.number, outcomes)
            done.outcomes.extend(outcomes)

    # ── asking again ────────────────────────────────────────────────────────────────────────────

    def _stop_stale(self, done: Done, parcel: Parcel, *, implied: bool, ahead: Ahead | None = None) -> None:
        """Ask again what was asked at plan time; what answers differently is not sent, nor what needs it."""
        skip = {change.op for change in parcel.relations if implied and change.basis == "implied"}
        asked = Parcel(
            parcel.data_source,
            parcel.items,
            parcel.ends,
            [change for change in parcel.relations if change.op not in skip],
            parcel.context,
            parcel.context_ends,
        )
        seen = self._as_planned(done, parcel, ahead) if ahead is not None else None
        if seen is None:
            done.requests += 1
            seen = {answer.op: answer for answer in self.target.preview(asked, self.writer)}
        applied = self._already(parcel, seen) if self.resuming else []
        self._decide(done, applied)
        keep(parcel, {outcome.op: outcome for outcome in applied})
        met = self._first_met(parcel, seen)
        self._decide(done, met)
        keep(parcel, {outcome.op: outcome for outcome in met})
        stale = [
            Outcome(change.op, "stale", code="stale", message=why)
            for change in (*parcel.items, *parcel.relations)
            if change.op in seen and (why := self._moved(change, seen[change.op]))
        ]
        self._decide(done, stale)
        self._decide(done, without(parcel, {outcome.op for outcome in stale}, "is stale"))

    def _as_planned(self, done: Done, parcel: Parcel, ahead: Ahead) -> dict[int, Seen] | None:
        """What a look for many says of these, where that is that nothing has moved; the rest is asked about alone."""
        told, requests = ahead.seen()
        done.requests += requests
        seen = {change.op: told[change.op] for change in parcel.items if change.op in told}
        if len(seen) < len(parcel.items) or any(self._moved(change, seen[change.op]) for change in parcel.items):
            return None
        return seen

    def _already(self, parcel: Parcel, seen: dict[int, Seen]) -> list[Outcome]:
        """What a run that goes on finds done: a journal older than the truth knows nothing of its last batches."""
        return [
            Outcome(change.op, "applied", seen[change.op].sys_id, seen[change.op].operation, warnings=SETTLED)
            for change in (*parcel.items, *parcel.relations)
            if is_done(change, seen)
        ]

    def _first_met(self, parcel: Parcel, seen: dict[int, Seen]) -> list[Outcome]:
        """Files whose record nobody knew while planning are compared with it now, for the first time.

        That one is there already is then no drift, and another content is what `if_exists` speaks of.
        """
        found = []
        for change in parcel.items:
            answer = seen.get(change.op)
            if answer is None or not is_uncompared(change):
                continue
            if answer.action == "unchanged" and not answer.code:
                found.append(Outcome(change.op, "unchanged", answer.sys_id, message=answer.reason))
            elif answer.action == "rejected":
                found.append(Outcome(change.op, "rejected", code=answer.code, message=answer.message))
            elif answer.action == "update":
                change.action, change.sys_id, change.before = "update", answer.sys_id, answer.before
        return found

    def _moved(self, change: Change, seen: Seen) -> str:
        return moved(change, seen, self.target.steps[change.step].sensitive)

    # ── sending ─────────────────────────────────────────────────────────────────────────────────

    def _send(self, done: Done, parcel: Parcel) -> None:
        attempts = 0
        while attempts < ATTEMPTS:
            if not parcel.items and not parcel.relations:
                return
            ops = [change.op for change in (*parcel.items, *parcel.relations)]
            self.journal.intent(done.number, ops)
            reach("request.before")
            done.open = ops
            done.requests += 1
            answer = self.target.send(parcel, self.writer)
            reach("answer.checked")
            if isinstance(answer, Started):
                self.journal.started(done.number, answer.token)
                if self._follow(done, parcel, answer.token):
                    return
                attempts += 1
                continue
            if isinstance(answer, Answered):
                self._answered(done, answer)
                return
            if isinstance(answer, Refused) and answer.named:
                # All or nothing: without what is named here the rest may be taken.
                self._named(done, parcel, answer)
                continue
            if isinstance(answer, Refused):
                self._refused(done, parcel, answer)
                return
            attempts += 1
            self._settle(done, parcel, answer.why)
        self._unknown(done, parcel, f"it was sent {ATTEMPTS} times and never answered")

    def _named(self, done: Done, parcel: Parcel, answer: Refused) -> None:
        """Take out of a parcel what is named as the reason of its refusal, decided or put back, with what needs it."""
        later = set(answer.later) if done.waits < len(HELD) else set()
        self._decide(done, [outcome for outcome in answer.named if outcome.op not in later])
        stopped = without(parcel, {outcome.op for outcome in answer.named}, "was refused")
        for outcome in stopped:
            if outcome.cause in later:
                later.add(outcome.op)
        done.later |= later
        self._decide(done, [outcome for outcome in stopped if outcome.op not in later])

    def _answered(self, done: Done, answer: Answered) -> None:
        done.notes.extend(answer.notes)
        done.step_stop = done.step_stop or (answer.stop and _hushed(answer.stop, done.secrets))
        later = answer.later if done.waits < len(HELD) else frozenset()
        done.later |= later
        self._decide(done, [outcome for outcome in answer.outcomes if outcome.op not in later])

    def _has_waited(self, number: int, seconds: float) -> bool:
        """Wait for another writer to let go; False where the run is being stopped meanwhile."""
        self.waiting(number, f"another writer holds some of its records; sent again in {seconds:.0f} s")
        while seconds > 0 and not self.is_over():
            self.clock.sleep(min(seconds, 1.0))
            seconds -= 1.0
        return not self.is_over()

    def _follow(self, done: Done, parcel: Parcel, token: str) -> bool:
        """See started work to its end; False where something of it is not done and may be sent again."""
        done.open = [change.op for change in (*parcel.items, *parcel.relations)]
        watch = Watch(self.clock, lambda said: self.waiting(done.number, said), self.is_over)
        answer = self.target.follow(token, parcel, self.writer, watch)
        if isinstance(answer, Answered):
            reach("answer.checked")
            self._answered(done, answer)
            told = {outcome.op for outcome in answer.outcomes}
            parcel.items = [change for change in parcel.items if change.op not in told]
        elif isinstance(answer, Running):
            self._unknown(done, parcel, answer.why, record=False)
        else:
            self._settle(done, parcel, answer.why)
        return not parcel.items

    def _refused(self, done: Done, parcel: Parcel, answer: Refused) -> None:
        """The server did not take the request: too much of it is halved, a closed door ends the run."""
        ops = (*parcel.items, *parcel.relations)
        if answer.status == 409 and not done.has_conflict:
            done.has_conflict = True
            self._stop_stale(done, parcel, implied=True)
            self._send(done, parcel)
            return
        if (answer.status in (409, 413) or answer.for_a_part) and len(ops) > 1:
            first, second = halves(parcel)
            earlier = {change.op for change in first.items if not change.sys_id}
            self._send(done, first)
            made = {outcome.op: outcome for outcome in done.outcomes if outcome.result == "applied"}
            self._decide(done, fill_ends(second, made, earlier))
            self._send(done, second)
            return
        if answer.status in (409, 413):
            code = "too-large" if answer.status == 413 else answer.problem.code
            why = ": ".join(filter(None, (answer.problem.message, answer.problem.found)))
            self._decide(done, [Outcome(op.op, "rejected", code=code, message=why) for op in ops])
            return
        problem = answer.problem
        said = [Outcome(op.op, "not_sent", code=problem.code, message=problem.message) for op in ops]
        self._decide(done, said)
        raise answer.stop or RemoteError(problem)

    # ── settling ────────────────────────────────────────────────────────────────────────────────

    def _settle(self, done: Done, parcel: Parcel, why: str) -> None:
        """Find out by looking what an unclear write has done; what is absent stays in the parcel.

        Looks at once; if not everything is there, waits until the server must be done, then looks twice and believes
        only two equal answers.
        """
        first = self._look(done, parcel)
        if not all(is_told(change, first) for change in (*parcel.items, *parcel.relations)):
            self.settling(done.number, why, self.seconds)
            self.clock.sleep(self.seconds)
            first = self._look(done, parcel)
            for _ in range(5):
                self.clock.sleep(self.seconds / 11)
                again = self._look(done, parcel)
                if same(first, again):
                    break
                first = again
            else:
                self._unknown(done, parcel, "the target keeps changing while it is looked at")
                return
        applied, foreign, unseen = [], [], []
        for change in (*parcel.items, *parcel.relations):
            answer = first.get(change.op)
            if answer is None:
                continue
            if answer.outcome is not None:
                foreign.append(answer.outcome)
            elif answer.action == "unknown" and not answer.code:
                said = answer.reason or "the target does not tell what became of it"
                unseen.append(Outcome(change.op, "unknown", code="unclear", message=said))
            elif is_done(change, first):
                applied.append(Outcome(change.op, "applied", answer.sys_id, answer.operation, warnings=SETTLED))
            elif differs := self._moved(change, answer):
                foreign.append(Outcome(change.op, "stale", code="stale", message=differs))
        self._decide(done, applied + foreign + unseen)
        gone = {outcome.op: outcome for outcome in (*applied, *foreign) if outcome.result == "applied"}
        keep(parcel, gone)
        self._decide(done, without(parcel, {one.op for one in foreign if one.op not in gone}, "was not applied"))
        self._decide(done, without(parcel, {one.op for one in unseen}, "is unclear"))

    def _look(self, done: Done, parcel: Parcel) -> dict[int, Seen]:
        done.requests += 1
        try:
            return self.target.settle(parcel, self.writer)
        except SyncError as error:
            problem = error.problems[0]
            self._unknown(done, parcel, f"the target cannot be looked at: {problem.message}", record=False)
            raise

    def _unknown(self, done: Done, parcel: Parcel, why: str, *, record: bool = True) -> None:
        """Nobody knows. With `record=False` the journal keeps the open intent, so that `resume` looks again."""
        ops = (*parcel.items, *parcel.relations)
        outcomes = [Outcome(change.op, "unknown", code="unclear", message=why) for change in ops]
        if record:
            self._decide(done, outcomes)
        else:
            done.outcomes.extend(outcomes)
        parcel.items, parcel.relations = [], []


def _hushed(problem: Problem, secrets: Sequence[str]) -> Problem:
    return replace(problem, message=hushed(problem.message, secrets), found=hushed(problem.found, secrets))
