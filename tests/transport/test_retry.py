"""What is repeated, how long is waited, and when it ends."""

from __future__ import annotations

import io
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.transport.answer import Answer, Ending, Kind, Request
from syncengine.transport.rate_limit import LONGEST_WAIT, Pace, Permits, asked_wait
from syncengine.transport.retry import Patience, Purse, Repeater, may_repeat
from tests.transport.wire_server import Got, Haste, Hours, Silence, client_of, error, hang_up, reply, serving

READ = Request("GET", "/api/now/table/cmdb_ci")
WRITE = Request("POST", "/api/now/import/u_x", body=b"{}", kind=Kind.BARE)
ASK = Request("POST", "/api/now/identifyreconcile/query", body=b"{}", kind=Kind.DRY)
PROBE = "/api/now/table/sys_user"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("ending", list(Ending))
def test_only_what_is_harmless_is_repeated(kind: Kind, ending: Ending) -> None:
    expected = ending in (Ending.NOT_SENT, Ending.THROTTLED) or (ending is Ending.UNKNOWN and not kind.is_write)
    assert may_repeat(kind, Answer(ending)) is expected
    assert not may_repeat(kind, Answer(ending, is_final=True))


@pytest.mark.covers("NET-30", "NET-32")
@pytest.mark.parametrize("request_", [READ, ASK])
def test_a_read_is_repeated_until_it_succeeds(request_: Request) -> None:
    hours = Hours()
    answers = [error(500), error(502), reply(200, ""), reply()]
    with serving(answers) as server, client_of(server.url, hours=hours) as client:
        repeater = Repeater(client)
        assert repeater.call(request_).ending is Ending.DONE
        assert (len(server.got), repeater.retries) == (4, 3)
    assert hours.naps == [0.25, 0.5, 1.0]


@pytest.mark.covers("NET-06", "NET-30")
@pytest.mark.parametrize("kind", [Kind.KEYED, Kind.BARE])
def test_an_unknown_write_is_never_repeated(kind: Kind) -> None:
    with serving([error(500), reply()]) as server, client_of(server.url) as client:
        assert Repeater(client).call(Request("POST", "/x", body=b"{}", kind=kind)).ending is Ending.UNKNOWN
        assert len(server.got) == 1


@pytest.mark.covers("NET-26", "NET-33")
@pytest.mark.parametrize("request_", [READ, WRITE])
def test_a_throttled_request_waits_as_told(request_: Request) -> None:
    hours = Hours()
    answers = [error(429, retry_after="5"), error(503, retry_after="7"), reply()]
    with serving(answers) as server, client_of(server.url, hours=hours) as client:
        purse = Purse()
        assert Repeater(client, purse).call(request_).ending is Ending.DONE
    assert hours.naps == [5.0, 7.0]
    assert purse.tokens == 500


@pytest.mark.covers("NET-26")
def test_one_waiting_worker_makes_all_wait() -> None:
    """No request arrives between the 429 and the end of the wait."""
    hours = Hours()
    arrivals: list[float] = []
    lock = threading.Lock()

    def script(got: Got, sock: socket.socket) -> bytes:
        with lock:
            arrivals.append(hours.time)
            first = len(arrivals) == 9
        return error(429, retry_after="60") if first else reply()

    with serving(script) as server, client_of(server.url, hours=hours, permits=1) as client:
        repeater = Repeater(client)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: repeater.call(READ), range(40)))
    assert {answer.ending for answer in answers} == {Ending.DONE}
    assert sum(at == 1000.0 for at in arrivals) == 9
    assert sum(1000.0 < at < 1060.0 for at in arrivals) == 0


@pytest.mark.covers("NET-28", "NET-33")
def test_endless_throttling_ends_with_the_budget() -> None:
    hours = Hours()
    with serving(error(429, retry_after="3600")) as server, client_of(server.url, hours=hours) as client:
        assert Repeater(client).call(WRITE).ending is Ending.THROTTLED
        assert len(server.got) == 2
    assert sum(hours.naps) == 900


@pytest.mark.covers("NET-27")
def test_a_wait_of_nothing_is_not_hammering() -> None:
    with serving(error(429, retry_after="0")) as server, client_of(server.url) as client:
        assert Repeater(client).call(READ).ending is Ending.THROTTLED
        assert len(server.got) < 45
    hours = Hours(lambda: 0.0)
    with serving([error(429, retry_after="0"), reply()]) as server, client_of(server.url, hours=hours) as client:
        assert Repeater(client).call(READ).ending is Ending.DONE
    assert hours.naps == [pytest.approx(0.05)]


NOW = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.mark.covers("NET-27", "NET-28", "NET-46")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "5"}, 5),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT", "date": NOW}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:30 GMT", "date": NOW}, 0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Sun, 01 Mar 2036 12:00:30 GMT", "date": NOW}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "0x10"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "garbage"}, None),
        ({"retry-after": "315360000"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"x-ratelimit-reset": "1772366460", "date": NOW}, 60),
        ({"x-ratelimit-reset": "1772366460"}, None),
        ({"x-ratelimit-reset": "40"}, 40),
        ({"retry-after": "9", "x-ratelimit-reset": "40"}, 9),
        ({"retry-after": "garbage", "x-ratelimit-reset": "40"}, 40),
        ({}, None),
    ],
)
def test_a_wait_is_taken_only_when_it_makes_sense(headers: dict[str, str], expected: float | None) -> None:
    assert asked_wait(headers) == expected


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "x-ratelimit-reset", "date"]),
        st.text(st.characters(max_codepoint=255), max_size=40)
        | st.floats().map(str)
        | st.integers().map(str)
        | st.floats(0, 4e9).map(lambda at: formatdate(at, usegmt=True)),
    )
)
def test_every_wait_is_bounded(headers: dict[str, str]) -> None:
    """Property: no header makes the sleep crash or last for ever."""
    wait = asked_wait(headers)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_every_computed_wait_is_bounded(failures: int, chance: float) -> None:
    patience = Patience()
    assert 0 <= patience.wait(failures, chance) <= min(60.0, 0.5 * 2.0 ** min(failures, 30))


@pytest.mark.covers("NET-01", "NET-02")
def test_a_host_that_never_answered_is_given_up_soon() -> None:
    hours = Hours()
    with serving(reply()) as server:
        url = server.url
    with client_of(url, hours=hours) as client:
        repeater = Repeater(client)
        assert repeater.call(READ).ending is Ending.NOT_SENT
        assert repeater.retries <= 5
    assert sum(hours.naps) < 10


@pytest.mark.covers("NET-02")
def test_a_fault_that_ends_is_outlived() -> None:
    hours = Hours()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with client_of(f"http://127.0.0.1:{port}", hours=hours) as client:
        repeater = Repeater(client)
        assert client.call(READ).ending is Ending.NOT_SENT

        def open_late(seconds: float) -> None:
            hours.naps.append(seconds)
            hours.time += seconds
            if len(hours.naps) == 2:
                server = socket.create_server(("127.0.0.1", port))
                threading.Thread(target=answer_once, args=(server,), daemon=True).start()

        def answer_once(server: socket.socket) -> None:
            sock, _ = server.accept()
            sock.recv(4096)
            sock.sendall(reply())
            sock.close()
            server.close()

        hours.sleep = open_late  # type: ignore[method-assign]
        client.clock = hours.clock
        assert repeater.call(WRITE).ending is Ending.DONE


def failing(rate: float, seed: int) -> object:
    """A script in which each call fails with this probability, in one of three ways."""
    chance, lock = random.Random(seed), threading.Lock()

    def script(got: Got, sock: socket.socket) -> bytes | None:
        with lock:
            fails, way = chance.random() < rate, chance.randrange(3)
        if not fails:
            return reply()
        if way == 0:
            hang_up(sock)
            return None
        return error(500) if way == 1 else reply(502, "<html>", content_type="text/html")

    return script


def run(rate: float, calls: int, workers: int, seed: int = 1) -> tuple[int, int, int, int]:
    """Calls that succeeded, requests that arrived, how many of them were looks, and repeated requests."""
    chance, lock = random.Random(seed), threading.Lock()

    def draw() -> float:
        with lock:
            return chance.random()

    hours = Hours(draw)
    stopped = threading.Event()
    with serving(failing(rate, seed)) as server, client_of(server.url, hours=hours, permits=workers) as client:  # type: ignore[arg-type]
        client.has_answered = True
        repeater = Repeater(client)

        def one(_: int) -> bool:
            if stopped.is_set():
                return False
            is_done = repeater.call(READ).ending is Ending.DONE
            if not is_done:
                stopped.set()
            return is_done

        with ThreadPoolExecutor(workers) as pool:
            done = sum(pool.map(one, range(calls)))
        looks = sum(PROBE in got.target for got in server.got)
        return done, len(server.got), looks, repeater.retries


@pytest.mark.covers("NET-47")
@pytest.mark.parametrize(("rate", "workers"), [(0.1, 4), (0.25, 4)])
def test_a_shaky_server_is_outlived(rate: float, workers: int) -> None:
    done, arrived, _, _ = run(rate, 600, workers)
    assert done == 600
    assert arrived <= 1.6 * done


@pytest.mark.covers("NET-47")
def test_a_failing_server_is_given_up() -> None:
    done, arrived, _, _ = run(0.6, 2000, 4)
    assert done < 2000
    assert arrived <= 1000


@pytest.mark.covers("NET-47")
@pytest.mark.parametrize("workers", [1, 8])
def test_a_dead_server_is_not_hammered(workers: int) -> None:
    done, arrived, looks, retries = run(1.0, 2000, workers)
    assert done == 0
    assert retries - workers <= 100 + workers
    assert arrived - looks <= 100 + 2 * workers
    assert looks <= 40


@pytest.mark.covers("NET-49")
@pytest.mark.parametrize(("minutes", "ends_well"), [(5, True), (20, False)])
@pytest.mark.parametrize("workers", [1, 6])
def test_an_outage_is_sat_out_within_the_budget(minutes: int, ends_well: bool, workers: int) -> None:
    """One worker on a virtual clock, to the second; several on a fast one, where only the bound is certain."""
    hours = Hours() if workers == 1 else Haste()
    began = [0.0]

    def script(got: Got, sock: socket.socket) -> bytes | None:
        if began[0] and hours.clock.now() < began[0] + 60 * minutes:
            hang_up(sock)
            return None
        return reply()

    with serving(script) as server, client_of(server.url, hours=hours, permits=workers) as client:
        repeater = Repeater(client)
        assert repeater.call(READ).ending is Ending.DONE
        began[0] = hours.clock.now()
        with ThreadPoolExecutor(workers) as pool:
            endings = [answer.ending for answer in pool.map(lambda _: repeater.call(READ), range(workers))]
        assert len(server.got) < 300
    if workers == 1:
        assert set(endings) == {Ending.DONE if ends_well else Ending.UNKNOWN}
    else:
        assert set(endings) <= {Ending.DONE, Ending.UNKNOWN}


def test_each_outage_has_the_whole_budget() -> None:
    """Where things went well in between; 800 seconds twice are no 1,600."""
    hours = Hours()
    down = [0.0]

    def script(got: Got, sock: socket.socket) -> bytes | None:
        if hours.time < down[0]:
            hang_up(sock)
            return None
        return reply()

    with serving(script) as server, client_of(server.url, hours=hours) as client:
        repeater = Repeater(client)
        for _ in range(2):
            assert repeater.call(READ).ending is Ending.DONE
            down[0] = hours.time + 800
            assert repeater.call(READ).ending is Ending.DONE


def test_an_outage_that_another_worker_saw_end_is_not_waited_for() -> None:
    """They pause one after the other; what the first one found holds for those that stood behind it."""
    hours = Hours()

    class Seen:
        """A pause that ends with the host seen alive by somebody else."""

        def __enter__(self) -> None:
            repeater._recoveries += 1

        def __exit__(self, *_: object) -> None:
            pass

    with serving(reply()) as server, client_of(server.url, hours=hours) as client:
        repeater = Repeater(client)
        repeater._outage = Seen()  # type: ignore[assignment]
        assert repeater._sit_out(Answer(Ending.UNKNOWN))
        assert (hours.naps, server.got) == ([], [])


def test_an_attempt_that_was_late_costs_twice_what_another_costs() -> None:
    """It holds a permit and a thread of the server for its whole deadline."""
    left: list[int] = []

    def script(got: Got, sock: socket.socket) -> bytes | None:
        if left:
            return reply()
        silence.keep()
        return None

    with (
        Silence() as silence,
        serving(script) as server,
        client_of(server.url, total=0.3) as client,
    ):
        purse = Purse()
        repeater = Repeater(client, purse, on_wait=lambda _answer, _seconds: left.append(purse.tokens))
        assert repeater.call(READ).ending is Ending.DONE
    assert left[0] == 490


def test_a_request_that_alone_fails_does_not_wait_for_an_outage() -> None:
    hours = Hours()

    def script(got: Got, sock: socket.socket) -> bytes:
        return reply() if PROBE in got.target else error(500)

    with serving(script) as server, client_of(server.url, hours=hours) as client:
        assert Repeater(client).call(READ).ending is Ending.UNKNOWN
        assert len(server.got) == 13
    assert sum(hours.naps) < 300


def test_every_wait_is_told() -> None:
    waits: list[tuple[str, float]] = []

    def note(answer: Answer, seconds: float) -> None:
        assert answer.problem is not None
        waits.append((answer.problem.code, seconds))

    with serving([error(429, retry_after="5"), error(500), reply()]) as server, client_of(server.url) as client:
        assert Repeater(client, on_wait=note).call(READ).ending is Ending.DONE
    assert waits == [("too-many-requests", 5.0), ("server-error", 0.25)]


def test_a_file_is_sent_anew_from_its_beginning() -> None:
    body = io.BytesIO(b"x" * 100_000)
    request = Request("POST", "/api/now/attachment/file", body=body, kind=Kind.BARE, length=100_000)
    with serving([error(429, retry_after="1"), reply(201)]) as server, client_of(server.url) as client:
        assert Repeater(client).call(request).ending is Ending.DONE
        assert [len(got.body) for got in server.got] == [100_000, 100_000]


def test_a_retry_that_succeeds_pays_back() -> None:
    with serving([error(500), reply()]) as server, client_of(server.url) as client:
        purse = Purse()
        Repeater(client, purse).call(READ)
        assert purse.tokens == 500


@pytest.mark.covers("NET-29")
@pytest.mark.parametrize("length", [3600, 60])
def test_the_pace_keeps_to_a_quota_that_bites_in_bursts(length: int) -> None:
    """A limit of 40 a window for 8 workers: in the long run at most one call in twenty is refused."""
    hours = Hours()
    window, refused, served = [1000.0, 0], [0], [0]
    lock = threading.Lock()

    def script(got: Got, sock: socket.socket) -> bytes:
        with lock:
            if hours.time >= window[0] + length:
                window[:] = [hours.time, 0]
            window[1] += 1
            served[0] += 1
            if window[1] <= 40:
                return reply()
            refused[0] += 1
            ends_in = window[0] + length - hours.time
        return error(429, x_ratelimit_limit="40", x_ratelimit_reset=str(int(ends_in)), x_ratelimit_rule="r")

    with serving(script) as server, client_of(server.url, hours=hours, permits=8, gate=7200) as client:
        repeater = Repeater(client, patience=Patience(outage=7200))
        with ThreadPoolExecutor(8) as pool:
            assert {answer.ending for answer in pool.map(lambda _: repeater.call(READ), range(1000))} == {Ending.DONE}
    assert refused[0] <= 0.05 * served[0]


@pytest.mark.covers("NET-26")
def test_a_window_that_opens_too_late_ends_the_run_at_once() -> None:
    hours = Hours()
    with serving(error(429, x_ratelimit_limit="100", x_ratelimit_reset="3000")) as server:
        with client_of(server.url, hours=hours) as client:
            answers = [Repeater(client).call(READ) for _ in range(3)]
        assert len(server.got) == 1
    assert {answer.ending for answer in answers} == {Ending.THROTTLED}
    assert answers[0].problem is not None
    assert "opens in 50 min" in answers[0].problem.message
    assert hours.naps == []


@pytest.mark.covers("NET-29")
def test_the_gate_closes_before_the_last_calls_of_a_window() -> None:
    hours = Hours()
    pace = Pace(hours.clock)
    quota = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "50"}
    pace.learn(200, quota, 4)
    assert pace.is_near_quota()
    assert pace.enter()
    pace.learn(200, quota | {"x-ratelimit-remaining": "0"}, 4)
    assert not pace.enter()
    assert pace.wait(60) == 0
    assert hours.naps == [50]
    pace.learn(200, quota | {"x-ratelimit-remaining": "99"}, 4)
    assert not pace.is_near_quota()


def test_no_more_is_in_flight_than_permitted() -> None:
    now, peak, lock = [0], [0], threading.Lock()

    def script(got: Got, sock: socket.socket) -> bytes:
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return reply()

    with serving(script) as server, client_of(server.url, permits=3) as client:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: client.call(READ), range(60)))
        assert server.connections <= 3
    assert peak[0] == 3


def test_permits_shrink_under_complaints_and_come_back() -> None:
    permits = Permits(4)
    permits.tighten()
    assert permits.allowed == 2
    permits.tighten()
    permits.tighten()
    assert permits.allowed == 1
    for _ in range(60):
        permits.ease()
    assert permits.allowed == 4
