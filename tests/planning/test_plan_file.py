"""A plan on disk: what was written is what is read, and nothing else is accepted."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.changes import ACTIONS, Batch, Change, End, Part, StepInfo
from syncengine.errors import Place, StaleError
from syncengine.planning.lines import batch_from_line, batch_to_line, change_from_line, change_to_line
from syncengine.planning.plan import GuardResult, Header, Identity, Input, Manifest, Note, StepCounts
from syncengine.planning.plan_file import open_plan, write_plan
from tests.budget import examples

text = st.text(max_size=12)
values = st.dictionaries(text, text, max_size=3)
ends = st.builds(End, st.integers(0, 99), text, text, st.sampled_from(["", "a" * 32]), text)
parts = st.lists(st.builds(Part, text, values), max_size=2).map(tuple)
changes = st.builds(
    Change,
    op=st.integers(1, 10**9),
    kind=st.sampled_from(["cmdb", "relation", "end"]),
    step=st.integers(0, 5),
    action=st.sampled_from(ACTIONS),
    basis=st.sampled_from(["engine", "implied", "compared"]),
    key=text,
    class_name=text,
    sys_id=text,
    values=values,
    before=values,
    lookup=parts,
    related=parts,
    masked=st.lists(text, max_size=2).map(tuple),
    host=st.none() | st.integers(1, 99),
    parent=st.none() | ends,
    refs=st.dictionaries(text, ends, max_size=2),
    place=st.none() | st.builds(Place, text, st.integers(0, 9), st.integers(0, 9)),
    in_unit=st.booleans(),
)
batches = st.builds(
    Batch,
    st.integers(0, 99),
    st.integers(0, 9),
    text,
    *[st.lists(st.integers(1, 99), max_size=4).map(tuple) for _ in range(4)],
)

HEADER = Header(
    "0.1.0",
    "sandbox",
    {"servicenow": Identity("servicenow", "sandbox:1234", "admin")},
    (Input("spec", "servers", "specs/servers.yaml", "0" * 64),),
    (StepInfo("servers.servers", "cmdb", "servicenow", "DC", "servers.servers"),),
)


@given(changes)
def test_a_change_is_read_as_it_was_written(change: Change) -> None:
    assert change_from_line(change_to_line(change)) == change


@given(batches)
def test_a_batch_is_read_as_it_was_written(batch: Batch) -> None:
    assert batch_from_line(batch_to_line(batch)) == batch


def written(path: Path, listed: list[Change], made_at: str = "2026-11-22T08:00:00Z") -> Manifest:
    manifest = Manifest({"servers.servers": StepCounts(rows=2, actions={"create": 2})}, batches=1)
    manifest.guards.append(GuardResult("servers.servers", "max_creates", 2, 1, 0, "refused", "1"))
    manifest.notes.append(Note("a", "b"))
    with write_plan(path) as writer:
        writer.header(HEADER)
        for change in listed:
            writer.change(change)
        writer.batch(Batch(0, 0, "DC", (1, 2), (), ()))
        writer.manifest(manifest)
        writer.close(made_at)
    return manifest


SOME = [Change(1, "cmdb", 0, "create", "engine", key="A"), Change(2, "cmdb", 0, "create", "engine", key="B")]


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = written(tmp_path / "p", SOME)
    plan = open_plan(tmp_path / "p")
    assert plan.header == HEADER
    assert plan.manifest == manifest
    assert list(plan.changes()) == SOME
    assert list(plan.read())[-1] == Batch(0, 0, "DC", (1, 2), (), ())


def test_the_hash_is_of_the_lines_and_not_of_the_time(tmp_path: Path) -> None:
    written(tmp_path / "p", SOME)
    written(tmp_path / "q", SOME, made_at="2030-01-01T00:00:00Z")
    assert open_plan(tmp_path / "p").seal.plan_hash == open_plan(tmp_path / "q").seal.plan_hash


def test_a_plan_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """SEC-09: private from the first moment, whatever the umask says."""
    written(tmp_path / "p", SOME)
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o600


@pytest.mark.covers("PROC-27")
def test_a_plan_with_any_one_byte_flipped_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p"
    written(path, SOME)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x80):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            with pytest.raises(StaleError):
                open_plan(path)


@pytest.mark.covers("PROC-31")
@settings(max_examples=examples(60))
@given(st.data())
def test_a_plan_that_is_cut_or_grown_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("plan") / "p"
    written(path, SOME)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    with pytest.raises(StaleError):
        open_plan(path)
    path.write_bytes(whole[:cut] + data.draw(st.binary(min_size=1, max_size=5)) + whole[cut:])
    with pytest.raises(StaleError):
        open_plan(path)


@pytest.mark.covers("PROC-31")
@pytest.mark.parametrize("content", [b"", b"{}\n", b"\x00" * 5000, b'\n{"syncengine-plan":1}\n'])
def test_what_is_not_a_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(StaleError):
        open_plan(tmp_path / "p")
