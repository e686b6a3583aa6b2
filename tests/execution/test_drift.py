"""A planned operation beside what the target says of it now."""

from __future__ import annotations

from typing import Any

import pytest

from syncengine.changes import Action, Change, Outcome, Seen
from syncengine.execution.drift import is_done, is_told, moved, same

PLANNED = {"sys_id": "a", "values": {"os": "new"}, "before": {"os": "old"}}


def planned(action: Action, **more: Any) -> Change:
    return Change(1, "cmdb", 0, action, **more)


def seen_as(action: Action, op: int = 1, **more: Any) -> Seen:
    return Seen(op, action=action, **more)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (planned("create"), seen_as("create")),
        (planned("update", **PLANNED), seen_as("update", sys_id="a", before={"os": "old"})),
        (planned("retire", **PLANNED), seen_as("update", sys_id="a", before={"os": "old"})),
        (planned("reclassify", sys_id="a", was_class="x"), seen_as("reclassify", sys_id="a", was_class="x")),
        (planned("touched", sys_id="a"), seen_as("unchanged", sys_id="a")),
        (planned("relate"), seen_as("relate")),
        (planned("attach"), seen_as("attach")),
        (planned("unknown"), seen_as("unknown")),
    ],
)
def test_what_is_as_it_was_planned_may_be_sent(change: Change, seen: Seen) -> None:
    assert moved(change, seen) == ""


@pytest.mark.parametrize(
    ("change", "seen", "why"),
    [
        (planned("create"), seen_as("update", sys_id="b"), "the target has it by now (b)"),
        (planned("create"), seen_as("create", code="BAD", message="no"), "the target now refuses it: BAD no"),
        (planned("update", **PLANNED), seen_as("create"), "the record a is no longer found"),
        (planned("update", **PLANNED), seen_as("update", sys_id="b", before={"os": "old"}), "another record is found"),
        (planned("update", **PLANNED), seen_as("update", sys_id="a", before={"os": "x"}), "os was 'old', is 'x'"),
        (planned("update", **PLANNED), seen_as("unchanged", sys_id="a"), "os was 'old', is 'new'"),
        (
            planned("update", **PLANNED),
            seen_as("update", sys_id="a", before={"os": "old", "ram": "1"}),
            "ram was '', is '1'",
        ),
        (planned("retire", **PLANNED), seen_as("unchanged", sys_id="a"), "os was 'old', is 'new'"),
        (
            planned("reclassify", sys_id="a", was_class="x"),
            seen_as("reclassify", sys_id="a", was_class="y"),
            "planned as reclassify, the target now says reclassify",
        ),
        (planned("update", sys_id="a"), seen_as("reclassify", sys_id="a"), "planned as update, the target now says"),
        (planned("touched", sys_id="a"), seen_as("update", sys_id="a", before={"os": "x"}), "fields differ by now: os"),
        (planned("relate"), seen_as("unchanged"), "the relation exists by now"),
        (planned("attach"), seen_as("unchanged"), "the file is there by now"),
        (planned("unknown"), seen_as("create"), "planned as unknown, the target now says create"),
        (planned("create"), seen_as("unknown"), "planned as create, the target now says unknown"),
    ],
)
def test_what_moved_is_told_with_what_it_is_now(change: Change, seen: Seen, why: str) -> None:
    assert why in moved(change, seen)


def test_what_is_sensitive_is_named_without_its_values() -> None:
    said = moved(planned("update", **PLANNED), seen_as("update", sys_id="a", before={"os": "SECRET"}), ["os"])
    assert said == "changed on the target since the plan: os"


def test_what_would_be_sent_in_any_case_is_never_done_by_itself() -> None:
    """A record that is touched looks the same before and after."""
    there = {1: seen_as("unchanged", sys_id="a")}
    assert is_done(planned("update", sys_id="a"), there)
    assert not is_done(planned("touched", sys_id="a"), there)
    assert not is_done(planned("update", sys_id="a"), {1: seen_as("unchanged", sys_id="a", code="BAD")})
    assert not is_told(planned("touched", sys_id="a"), there)
    assert not is_told(planned("update", sys_id="a"), {})


def test_two_looks_are_the_same_when_they_say_so_of_all_operations() -> None:
    first = {1: seen_as("create"), 2: seen_as("unchanged", 2, sys_id="a")}
    assert same(first, {2: seen_as("unchanged", 2, sys_id="a"), 1: seen_as("create")})
    assert not same(first, {1: seen_as("create")})
    told = {1: seen_as("unknown", outcome=Outcome(1, "rejected"))}
    assert same(told, dict(told))
    assert not same(told, {1: seen_as("unknown")})
    assert not same(first, {**first, 2: seen_as("unchanged", 2, sys_id="b")})
    assert not same(first, {**first, 1: seen_as("unchanged")})
