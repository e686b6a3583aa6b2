"""Waves: what must come before what."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine.planning.graph import Circle, waves

names = st.sampled_from([f"step{n}" for n in range(8)])
pairs = st.sets(st.tuples(names, names), max_size=16)


def needs_of(edges: set[tuple[str, str]]) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for thing, need in sorted(edges):
        needs.setdefault(thing, []).append(need)
    return needs


@given(pairs)
def test_a_things_wave_is_later_than_all_it_needs_or_a_true_circle_is_named(edges: set[tuple[str, str]]) -> None:
    needs = needs_of(edges)
    things = sorted({name for edge in edges for name in edge})
    path: tuple[str, ...] = ()
    found: list[list[str]] = []
    try:
        found = waves(things, needs)
    except Circle as circle:
        path = circle.path
    if path:
        assert path[0] == path[-1]
        assert len(path) > 2
        assert all(need in needs[thing] for thing, need in itertools.pairwise(path))
        return
    at = {thing: number for number, wave in enumerate(found) for thing in wave}
    assert sorted(at) == things
    for thing, need in edges:
        if thing != need:
            assert at[need] < at[thing]


@given(pairs, st.randoms())
def test_the_waves_do_not_depend_on_the_order_of_the_input(edges: set[tuple[str, str]], chance: object) -> None:
    things = sorted({name for edge in edges for name in edge})
    shuffled = list(things)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    try:
        first = [set(wave) for wave in waves(things, needs_of(edges))]
    except Circle:
        with pytest.raises(Circle):
            waves(shuffled, needs_of(edges))
        return
    assert first == [set(wave) for wave in waves(shuffled, needs_of(edges))]


@pytest.mark.covers("SPEC-34")
@pytest.mark.parametrize("length", [2, 3, 500])
def test_the_shortest_circle_is_written_out(length: int) -> None:
    names = [f"s{n}" for n in range(length)]
    needs = {name: [names[(n + 1) % length]] for n, name in enumerate(names)}
    with pytest.raises(Circle) as caught:
        waves(names, needs)
    assert len(caught.value.path) == length + 1


def test_a_thing_that_needs_itself_is_left_to_the_caller() -> None:
    assert waves(["people"], {"people": ["people"]}) == [["people"]]
