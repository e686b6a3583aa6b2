"""What the machine refuses, and what it does to files, clocks and locks: told as that, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from syncengine import files
from syncengine.changes import Pair, Record
from syncengine.cli import apply, places
from syncengine.errors import Exit, LockedError, StateError
from syncengine.execution.journal import FORMAT, Journal, State
from syncengine.execution.locks import locked
from syncengine.sandbox.process import attach
from syncengine.targets.cmdb import CmdbTarget
from tests.bench import Bench, app, server, uses
from tests.command_line import MODULE
from tests.execution.test_runs import only_once
from tests.inside import Inside
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    """No crash point outlives its test."""
    yield
    files._armed.clear()


def limit(what: int, most: int) -> Callable[[], None]:
    """Sets a limit in the process to be."""
    return lambda: resource.setrlimit(what, (most, most))


def sampled(first: object, second: object, *more: object) -> list[Any]:
    """The first two by default, the rest behind --long."""
    return [first, second, *(pytest.param(one, marks=pytest.mark.long) for one in more)]


# ── memory, files, disk ─────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("PROC-08")
@pytest.mark.parametrize("point", sampled("run.created", "answer.checked:2", "request.before:2", "result.fsync:1"))
def test_memory_that_is_used_up_leaves_a_whole_journal(inside: Inside, point: str) -> None:
    """In the main thread and in a worker."""
    inside.estate(1200)
    inside.plan()
    files.arm(f"{point}=memory")
    said = inside.apply("--permits", "1").ends(Exit.STATE)
    assert said.has_five_parts("machine")
    assert "memory" in said.err
    files._armed.clear()
    inside.run("resume").ends()
    inside.settled(1200)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.covers("PROC-08")
def test_less_and_less_memory_ends_well_or_is_told(inside: Inside) -> None:
    """Address space is cut until nothing starts any more; no step of it is a bug of ours.

    The interpreter itself may end by a signal: C libraries do not all survive a refused allocation.
    """
    inside.estate(3000)
    ends = set()
    for megabytes in (900, 500, 400, 350, 300, 280, 260, 240, 220, 200):
        most = megabytes * 1024 * 1024
        with inside.start("plan", "--env", "dev", preexec_fn=limit(resource.RLIMIT_AS, most)) as process:
            process.communicate(timeout=120)
        ends.add(process.returncode)
    assert Exit.OK in ends
    assert Exit.BUG not in ends


@pytest.mark.covers("PROC-14")
def test_few_open_files_are_enough_and_too_few_are_told(inside: Inside) -> None:
    """64 with eight requests in flight; with a handful nothing can be opened."""
    inside.estate(1200)
    inside.plan()
    inside.process("apply", "p", "--yes", "--permits", "8", preexec_fn=limit(resource.RLIMIT_NOFILE, 64)).ends()
    inside.settled(1200)
    none = inside.process("plan", "--env", "dev", preexec_fn=limit(resource.RLIMIT_NOFILE, 6)).ends(Exit.STATE)
    assert none.has_five_parts("machine")
    assert "Too many open files" in none.err
    assert "effect: Nothing was written." in none.err


@pytest.mark.covers("PROC-13", "PROC-11")
def test_a_file_that_may_not_grow_is_written_whole_or_not_at_all(inside: Inside) -> None:
    """A quota bites in the middle of a write: the kernel takes a part of it. The old plan stays; a run is resumed."""
    inside.estate(1200)
    inside.plan()
    before = (inside.folder / "p").read_bytes()
    quota = limit(resource.RLIMIT_FSIZE, len(before) // 2)
    said = inside.process("plan", "--env", "dev", "-o", "p", preexec_fn=quota, env={"TMPDIR": str(inside.folder)}).ends(
        Exit.STATE
    )
    assert said.err.count("\n  effect: ") == 1
    assert (inside.folder / "p").read_bytes() == before
    ended: list[int] = []
    for kilobytes in (45, 60, 80, 100, 140, 200, 300):
        begun = inside.run("status", "-n", "1", "--format", "json").out
        command = ["resume"] if begun else ["apply", "p", "--yes", "--permits", "1"]
        said = inside.process(*command, preexec_fn=limit(resource.RLIMIT_FSIZE, kilobytes * 1024))
        assert said.code in (Exit.OK, Exit.STATE), said.err
        ended.append(said.code)
        if said.code == Exit.OK:
            break
    assert (ended[0], ended[-1]) == (Exit.STATE, Exit.OK)
    inside.settled(1200)


@pytest.mark.covers("PROC-13")
def test_interrupted_system_calls_are_done_to_their_end(bench: Bench) -> None:
    """A timer interrupts every wait, read and write hundreds of times."""
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _frame: rang.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        made: list[Record | Pair] = [*(server(n) for n in range(600)), app(1), uses(1, 1)]
        summary = bench.apply(bench.plan(*made))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(rang) > 50
    assert (summary.exit, summary.total("applied")) == (Exit.OK, len(made))
    assert bench.inserts()["cmdb_ci_linux_server"] == 600


@pytest.mark.covers("PROC-10")
@pytest.mark.parametrize("fault", ["enospc", "eio"])
def test_a_report_that_cannot_be_written_does_not_undo_a_run(inside: Inside, fault: str) -> None:
    """The rows are done and recorded, the exit is that of the run; how to have the file is told."""
    inside.estate(50)
    inside.plan()
    inside.sandbox.faults("api=ire, at=1, seed=3, do=item_errors(0.1)")
    files.arm("reject.write=" + fault)
    said = inside.apply().ends(Exit.PARTIAL)
    assert "error[no-rejects-file]: cannot write" in said.err
    assert said.err.count("\n  effect: ") == 1
    run = inside.newest()
    assert (run["exit"], run["summary"]["rejects"]) == (Exit.PARTIAL, "")
    assert f"syncengine report {run['run']}" in said.err
    applied = sum(run["summary"]["steps"]["estate.servers"]["results"]["applied"].values())
    assert inside.bench.inserts()["cmdb_ci_linux_server"] == applied
    files._armed.clear()
    inside.run("report", run["run"]).ends()
    (rejects,) = inside.state.glob("runs/*/rejects.csv")
    assert len(rejects.read_text().splitlines()) == 1 + 50 - applied


@pytest.mark.covers("PROC-11")
@pytest.mark.parametrize("way", ["a file in its place", "a link that leads nowhere", "no room", "read-only"])
def test_a_state_that_cannot_be_kept_is_found_before_the_first_request(inside: Inside, way: str) -> None:
    inside.estate(3)
    inside.plan()
    shutil.rmtree(inside.state, ignore_errors=True)
    how: dict[str, Any] = {}
    if way == "a file in its place":
        inside.state.write_text("")
    elif way == "a link that leads nowhere":
        inside.state.symlink_to(inside.folder / "nowhere")
    elif way == "no room":
        how = {"preexec_fn": limit(resource.RLIMIT_FSIZE, 0)}
    else:
        if not os.geteuid():
            pytest.skip("nothing is read-only for root")
        inside.state.mkdir(mode=0o500)
    calls = len(inside.sandbox.ledger())
    said = inside.process("apply", "p", "--yes", **how).ends(Exit.STATE)
    assert said.err.count("\n  effect: ") == 1
    assert len(inside.sandbox.ledger()) == calls


# ── locks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("PROC-16")
def test_two_machines_with_states_of_their_own_write_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    """Neither can see the other; the target can: what the other was faster with is told, never made again."""
    made: list[Record | Pair] = [*(server(n) for n in range(1500)), app(1), uses(1, 1)]
    other = Bench(bench.sandbox, tmp_path / "other")
    plan = bench.plan(*made)
    ends: list[Exit] = []
    threads = [threading.Thread(target=lambda one=one: ends.append(one.apply(plan).exit)) for one in (bench, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(ends) == 2
    assert set(ends) <= {Exit.OK, Exit.STALE, Exit.PARTIAL}
    assert only_once(bench)
    assert bench.inserts()["cmdb_ci_linux_server"] == 1500
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("PROC-16", "PROC-15")
def test_a_state_that_two_share_lets_one_of_them_write(bench: Bench) -> None:
    """As a folder that two machines mount: the second is told who holds it, and since which run."""
    plan = bench.plan(server(1))
    shared = State(bench.state.directory)
    with (
        locked(bench.state, plan, "first"),
        pytest.raises(LockedError, match=r"run first \(process \d+ on .+ since \d{4}-"),
        locked(shared, plan, "second"),
    ):
        raise AssertionError("both hold it")
    shared.close()


@pytest.mark.covers("PROC-18")
def test_beside_a_run_a_plan_is_made_and_says_so_and_nothing_else_writes(inside: Inside) -> None:
    inside.estate(600)
    inside.plan()
    inside.sandbox.faults("api=ire, every=1, do=delay(2.5)")
    with inside.start("apply", "p", "--yes", "--permits", "1") as running:
        wait_for(inside.sandbox.met)
        run = inside.newest()["run"]
        planned = inside.run("plan", "--env", "dev", "-o", "q").ends()
        assert f"note: run {run} is writing at this moment" in planned.err
        for command in (["resume", run], ["apply", "q", "--yes"]):
            said = inside.run(*command).ends(Exit.LOCKED)
            assert said.has_five_parts("locked")
            assert f"run {run} (process {running.pid}" in said.err
            assert "effect: Nothing was sent." in said.err
        running.communicate(timeout=60)
    assert running.returncode == Exit.OK
    inside.sandbox.clear_faults()
    inside.settled(600)


# ── the clock ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("PROC-19")
def test_a_clock_that_jumps_changes_no_order(inside: Inside) -> None:
    """Back by a century between two runs; the newest is the one that began last, and it is the one to go on with."""
    times = iter(["2100-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-10-25T02:30:00Z"])
    inside.monkeypatch.setattr(places, "wall", lambda: next(times, "1969-12-31T23:59:59Z"))
    names = iter(["21000101-000000-aaaa", "19700101-000000-bbbb", "20261025-023000-cccc"])
    inside.monkeypatch.setattr(places, "run_name", lambda: next(names))
    for number in range(1, 3):
        inside.estate(number)
        inside.plan()
        inside.apply().ends()
    inside.estate(600, first=10)
    inside.plan()
    files.arm("request.before=enospc")
    inside.apply().ends(Exit.STATE)
    files._armed.clear()
    told = map(orjson.loads, inside.run("status", "--format", "json").out.splitlines())
    listed = [one["run"] for one in told if one["kind"] == "run"]
    assert listed == ["20261025-023000-cccc", "19700101-000000-bbbb", "21000101-000000-aaaa"]
    inside.run("resume").ends()
    assert inside.newest()["run"] == "20261025-023000-cccc"
    inside.settled(602)


@pytest.mark.covers("PROC-19", "NET-46")
def test_a_server_that_lives_in_another_year_is_written_to_all_the_same(inside: Inside) -> None:
    inside.estate(5)
    inside.sandbox.advance(40 * 365 * 86400)
    inside.plan()
    inside.apply().ends()
    inside.settled(5)


# ── the journal ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("PROC-22")
@pytest.mark.parametrize("way", ["deleted", "replaced", "its folder is gone"])
def test_a_journal_that_goes_away_is_missed_at_the_next_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Nothing is sent whose intent nobody will find."""
    plan = bench.plan(*(server(n) for n in range(1500)))
    path = bench.state.path
    send = CmdbTarget.send
    sent: list[int] = []

    def and_then(self: CmdbTarget, *arguments: Any) -> Any:
        answer = send(self, *arguments)
        sent.append(1)
        if way == "its folder is gone":
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        if way == "replaced":
            path.write_bytes(b"")
        return answer

    monkeypatch.setattr(CmdbTarget, "send", and_then)
    with contextlib.suppress(StateError):  # also the end of the run cannot be recorded
        assert bench.apply(plan, permits=1).exit is Exit.STATE
    assert len(sent) == 1
    assert bench.inserts()["cmdb_ci_linux_server"] <= 500


@pytest.mark.covers("PROC-23")
def test_a_journal_of_a_newer_format_is_refused_with_its_version(bench: Bench) -> None:
    plan = bench.plan(server(1))
    summary = bench.apply(plan)
    with bench.state.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE run SET format={FORMAT + 1}, product='7.1.0', exit=NULL")
    calls = len(bench.sandbox.ledger())
    with pytest.raises(StateError, match=r"written by syncengine 7\.1\.0") as caught:
        bench.resume(summary.run, plan)
    assert "syncengine 7.1.0 or newer" in caught.value.problems[0].fix
    assert len(bench.sandbox.ledger()) == calls


STORED = sorted((Path(__file__).parent / "journals").glob("*.sql"))


@pytest.mark.covers("PROC-36", "PROC-23")
@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_the_journal_of_every_release_is_read_to_the_same_account(tmp_path: Path, stored: Path) -> None:
    """Written by that release: a run stopped in the middle, one batch with its result, one with its intent alone."""
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.executescript(stored.read_text())
    db.close()
    state = State(tmp_path)
    (row,) = state.runs()
    journal = Journal(state, row.id)
    known = journal.read()
    journal.close()
    state.close()
    assert (row.product, row.exit) == (stored.stem, None)
    assert [(of.intent is None, len(of.outcomes or {})) for of in known.values()] == [(True, 3), (False, 0)]
    assert {one.result for one in (known[0].outcomes or {}).values()} == {"applied", "rejected"}
    assert (known[1].intent or {})["ops"] == [3, 4]
    assert known[1].token == "a token"


@pytest.mark.covers("PROC-24", "PROC-20")
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.45, 0.6, 0.8, 0.95, 1.0])
def test_a_journal_torn_by_a_power_cut_is_resumed(bench: Bench, tmp_path: Path, cut: float) -> None:
    """What SQLite had not yet synced is lost or torn at any byte: the log is read up to its last whole commit."""
    made: list[Record | Pair] = [*(server(n) for n in range(1100)), *(app(n) for n in range(3)), uses(1, 1)]
    plan = bench.plan(*made)
    summary = bench.apply(plan, permits=1)
    torn = tmp_path / "torn"
    shutil.copytree(bench.state.directory, torn)
    log = torn / "state.db-wal"
    whole = log.read_bytes()
    log.write_bytes(whole[: int(len(whole) * cut)] + b"\0" * (100 if 0 < cut < 1 else 0))
    (torn / "state.db-shm").unlink(missing_ok=True)
    before = bench.inserts()
    with sqlite3.connect(torn / "state.db") as db:
        known = db.execute("SELECT name FROM sqlite_master WHERE name='run'").fetchall()
        begun = bool(known) and bool(db.execute("SELECT 1 FROM run").fetchall())
    db.close()
    after = Bench(bench.sandbox, tmp_path / "after")
    after.state.close()
    after.state = State(torn)
    if begun:
        again = after.resume(summary.run, plan)
        assert again.exit in (Exit.OK, Exit.STALE)
        assert again.operations == len(made)
    after.close()
    assert only_once(bench)
    assert bench.inserts() == before
    assert bench.plan(*made).manifest.changes == 0


@pytest.mark.covers("PROC-24")
def test_a_file_is_on_disk_before_its_name_is_and_the_name_before_it_is_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write, sync of the file, rename, sync of the folder; a new folder is synced into the one above it."""
    done: list[str] = []
    sync, replace, make = os.fsync, Path.replace, Path.mkdir

    def fsync(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        done.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name if is_folder else 'file'}")
        sync(handle)

    def rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    def mkdir(self: Path, *arguments: Any, **more: Any) -> None:
        done.append(f"make {self.name}")
        make(self, *arguments, **more)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    files.private_directory(tmp_path / "a" / "b")
    assert done == ["make a", f"sync {tmp_path.name}", "make b", "sync a"]
    done.clear()
    with files.replacing(tmp_path / "a" / "b" / "x", "plan") as stream:
        stream.write(b"x")
    assert done == ["sync file", "rename", "sync b"]


@pytest.mark.covers("PROC-26")
@pytest.mark.parametrize(("now", "code"), [("0.9.3", Exit.OK), ("1.0.0", Exit.STALE), ("2.3", Exit.STALE)])
def test_a_plan_is_good_within_a_major_version(inside: Inside, now: str, code: Exit) -> None:
    inside.estate(2)
    inside.plan()
    inside.monkeypatch.setattr(apply, "__version__", now)
    said = inside.apply().ends(code)
    if code is Exit.STALE:
        assert said.has_five_parts("another-version")
        assert f"the plan was made by 0.1.0, this is {now}" in said.err
        assert "effect: Nothing was sent." in said.err
        assert inside.sandbox.counts() == {}


@pytest.mark.covers("PROC-33", "SEC-03")
@pytest.mark.parametrize("failure", sampled(RecursionError, UnicodeDecodeError, AssertionError, KeyError))
def test_what_breaks_in_a_worker_is_reported_without_values_and_resumed(
    inside: Inside, failure: type[Exception]
) -> None:
    """A crash report in a private file; what the other workers sent is recorded; nothing is lost or doubled."""
    inside.estate(1600)
    inside.plan()
    send = CmdbTarget.send
    calls: list[int] = []

    def breaks(self: CmdbTarget, parcel: Any, writer: Any) -> Any:
        answer = send(self, parcel, writer)
        calls.append(1)
        if len(calls) == 2:
            words = f"{inside.sandbox.password} and DATACANARY"
            raise (
                UnicodeDecodeError("utf-8", words.encode(), 0, 1, words)
                if failure is UnicodeDecodeError
                else (failure(words))
            )
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CmdbTarget, "send", breaks)
        said = inside.apply().ends(Exit.BUG)
    assert said.err.count("\n  effect: ") == 1
    (report,) = inside.folder.glob("syncengine-crash-*.txt")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    text = report.read_text()
    assert failure.__name__ in text
    assert "batch.py" in text
    for secret in (inside.sandbox.password, "DATACANARY"):
        assert secret not in text + said.err + said.out
    inside.run("resume").ends()
    inside.settled(1600)


@pytest.mark.covers("PROC-38")
def test_a_report_says_what_it_cannot_know(inside: Inside) -> None:
    """Of a run that is still going, of one that nobody knows, and of one whose journal is damaged."""
    nobody = inside.run("report", "20200101-000000-aaaa").ends(Exit.SPEC)
    assert nobody.has_five_parts("no-such-run")
    inside.estate(600)
    inside.plan()
    inside.sandbox.faults("api=ire, every=1, do=delay(1.5)")
    with inside.start("apply", "p", "--yes", "--permits", "1") as running:
        wait_for(inside.sandbox.met)
        run = inside.newest()["run"]
        going = inside.run("report", run).ends()
        assert f"note: run {run} (process {running.pid} on" in going.err
        assert "is going on at this moment" in going.err
        running.communicate(timeout=60)
    with sqlite3.connect(inside.state / "state.db") as db:
        db.execute("UPDATE entry SET body=zeroblob(9) WHERE seq=2")
    db.close()
    damaged = inside.run("report", run).ends(Exit.STATE)
    assert damaged.has_five_parts("journal-damaged")
    assert f"journal of run {run}" in damaged.err


@pytest.mark.covers("PROC-37")
def test_a_log_that_is_rotated_or_deleted_changes_nothing(inside: Inside, tmp_path: Path) -> None:
    """The one log there is is the built-in sandbox's; the product itself writes none."""
    inside.estate(3)
    (inside.folder / "environments" / "dev.yaml").unlink()
    with attach(inside.state / "sandbox", seeds=[]) as running:
        inside.run("plan", "-o", "p").ends()
        (inside.state / "sandbox" / "server.log").unlink()
        inside.run("apply", "p", "--yes").ends()
        assert running.counts()["insert"]["cmdb_ci_linux_server"] == 3
    kept = {path.name for path in inside.state.rglob("*") if path.is_file() and "sandbox" not in path.parts}
    assert not [name for name in kept if "log" in name]


# ── surroundings ────────────────────────────────────────────────────────────────────────────────

ODD: dict[str, dict[str, Any]] = {
    "everything": {
        "env": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Pacific/Apia", "HOME": None,
            "COLUMNS": "40", "PYTHONHASHSEED": "7", "TERM": "dumb"},
        "python": ("-O", *MODULE),
        "preexec_fn": lambda: os.umask(0),
    },
    "locale": {"env": {"LC_ALL": "POSIX", "LANG": None, "PYTHONIOENCODING": "ascii"}},
    "home": {"env": {"HOME": "/proc/nowhere", "TMPDIR": None}},
    "zone": {"env": {"TZ": "America/St_Johns"}},
    "narrow": {"env": {"COLUMNS": "20", "LINES": "3"}},
    "seed": {"env": {"PYTHONHASHSEED": "123"}},
    "umask": {"preexec_fn": lambda: os.umask(0o777)},
}  # fmt: skip
SAMPLED = ("everything", "umask")


@pytest.mark.covers("PROC-34", "SEC-09")
@pytest.mark.parametrize("odd", [one if one in SAMPLED else pytest.param(one, marks=pytest.mark.long) for one in ODD])
def test_surroundings_change_neither_plan_nor_modes(inside: Inside, odd: str) -> None:
    """The same lines, the same hash, the same words as far as the terminal has them, files for their owner alone."""
    inside.estate(5, os_name="Größe → 9")
    said = inside.plan()
    hash_ = said.out[said.out.index("Plan  ") :].split()[1]
    found = inside.process("plan", "--env", "dev", "-o", "q", **ODD[odd]).ends()
    assert hash_ in found.out
    done = inside.process("apply", "q", "--yes", **ODD[odd]).ends()
    assert "Applied 5 of 5" in done.out
    for path in [inside.folder / "q", *inside.state.rglob("*")]:
        if "sandbox" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    inside.settled(5)
