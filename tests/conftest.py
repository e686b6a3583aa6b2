"""What all tests share: a sandbox in a process of its own, the long sweeps on request, the catalogue of faults."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from syncengine.cli import fourme
from syncengine.sandbox.process import Running
from syncengine.targets.cmdb import CmdbTarget
from tests.bench import Bench
from tests.budget import LONG
from tests.inside import Inside
from tests.sandboxed import Shared

# Commands in processes of their own would compile the product anew each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What is started in the background ignores these two, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No example of a property is slow: the machine is.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

CATALOGUE = Path(__file__).parent / "faults.txt"
_covered: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long` runs the full sweeps."""
    parser.addoption("--long", action="store_true", help="run the full sweeps, not only their samples")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the budgets, before the first test module is read."""
    if config.getoption("--long"):
        os.environ[LONG] = "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long sweeps out unless they are asked for; refuse marks that name no line of the catalogue."""
    known = set(CATALOGUE.read_text().split())
    for item in items:
        for mark in item.iter_markers("covers"):
            unknown = set(mark.args) - known
            if unknown:
                raise pytest.UsageError(f"{item.nodeid} covers {sorted(unknown)}, which the catalogue does not have")
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="a long sweep: run with --long"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in a test's report what it covers: the process that sums up need not be the one that ran it."""
    report = yield
    report.user_properties += [("covers", line) for mark in item.iter_markers("covers") for line in mark.args]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what passed tests cover."""
    if report.when == "call" and report.passed:
        _covered.update(str(line) for name, line in report.user_properties if name == "covers")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much of the fault catalogue the tests that passed have met."""
    known = CATALOGUE.read_text().split()
    rooms: dict[str, list[int]] = {}
    for line in known:
        of = rooms.setdefault(line.split("-")[0], [0, 0])
        of[0] += line in _covered
        of[1] += 1
    said = ", ".join(f"{room} {met}/{total}" for room, (met, total) in rooms.items())
    terminalreporter.write_line(f"fault catalogue: {len(_covered)} of {len(known)} lines covered ({said})")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The sandbox of all tests that need none of their own."""
    made = Shared(tmp_path_factory.mktemp("sandbox"))
    yield made
    made.close()


@pytest.fixture
def sandbox(shared: Shared) -> Iterator[Running]:
    """A sandbox in a process of its own, empty. Every fault that a test asks for has to take place."""
    made = shared.empty()
    yield made
    assert made.unmet() == []


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of 50 items instead of 500: several of them need a tenth of the records."""
    monkeypatch.setattr(CmdbTarget, "batch_limit", 50)


@pytest.fixture
def unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to 4me go out at once: the 19 in two seconds are for who tests them."""
    monkeypatch.setattr(fourme, "BURST", None)


@pytest.fixture
def bench(sandbox: Running, tmp_path: Path) -> Iterator[Bench]:
    """Plans and applies records against an empty sandbox, without specs."""
    made = Bench(sandbox, tmp_path)
    yield made
    made.close()


@pytest.fixture
def inside(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """A project whose environment is the shared sandbox."""
    return Inside(bench, tmp_path / "inside", monkeypatch)
