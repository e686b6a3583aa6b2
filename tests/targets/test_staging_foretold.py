"""What a plan foretells of staging rows is what the instance then does: random maps, target states and rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from syncengine.changes import Change, Record, StepInfo
from syncengine.errors import Place
from syncengine.targets.staging.foretell import ACTIONS
from tests.bench import Bench
from tests.budget import is_long

CASES = 320 if is_long() else 10
TABLE = "u_any_import"
SOURCES = ["u_a", "u_b", "u_c", "u_d", "u_e", "u_f"]
WORDS = st.sampled_from(["", "one", "ONE", "two", "three", "four", "five", "six", "a,b"])
TARGETS: dict[str, st.SearchStrategy[str]] = {
    "name": WORDS,
    "serial_number": WORDS,
    "asset_tag": WORDS,
    "os_version": WORDS,
    "short_description": st.sampled_from(["", "x" * 60, "word"]),
    "location": st.sampled_from(["", "Paris", "paris", "Rome", "Nowhere"]),
    "operational_status": st.sampled_from(["", "1", "2", "Operational", "non-operational", "77"]),
    "ram": st.sampled_from(["", "0", "64", "128", "064", "many"]),
    "virtual": st.sampled_from(["", "true", "false", "true", "yes"]),
    "install_date": st.sampled_from(["", "2024-02-03 04:05:06", "2024-02-03", "03.02.2024"]),
}
KEYS = ["name", "serial_number", "asset_tag"]


@dataclass(frozen=True)
class Case:
    """A map, records that are there, and rows that come."""

    maps: list[dict[str, Any]]
    there: list[dict[str, str]]
    rows: list[dict[str, str]]
    earlier: list[dict[str, str]]
    """Rows that somebody imported before."""


@st.composite
def one_map(draw: st.DrawFn, target: str, sources: list[str], names: list[str]) -> dict[str, Any]:
    """A map without scripts over these columns."""
    coalesce = draw(st.sets(st.sampled_from([n for n in names if n in KEYS] or names), max_size=2))
    fields = {}
    for source, name in zip(sources, names, strict=True):
        fields[name] = {
            "source": source,
            "coalesce": name in coalesce,
            "case_sensitive": draw(st.booleans()),
            "coalesce_empty": draw(st.integers(0, 3)) == 0,
            "choice_action": draw(st.sampled_from(["create", "ignore", "reject"])),
            "date_format": draw(st.sampled_from(["yyyy-MM-dd HH:mm:ss", "dd.MM.yyyy"])),
        }
    return {
        "name": f"Map onto {target}",
        "target": target,
        "copy_empty_fields": draw(st.integers(0, 2)) == 0,
        "create_new_record_on_empty_coalesce_fields": draw(st.integers(0, 3)) == 0,
        "fields": fields,
    }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One map or two, a few records, a few rows."""
    names = draw(st.permutations(sorted(TARGETS)))[: draw(st.integers(2, 6))]
    if not set(names) & set(KEYS):
        names[0] = draw(st.sampled_from(KEYS))
    sources = SOURCES[: len(names)]
    maps = [draw(one_map("cmdb_ci_server", sources, names))]
    row = st.fixed_dictionaries({source: TARGETS[name] for source, name in zip(sources, names, strict=True)})
    if draw(st.integers(0, 3)) == 0:
        plain = [s for s, n in zip(sources, names, strict=True) if n in KEYS]
        maps.append({**draw(one_map("alm_asset", plain[:1], ["asset_tag"])), "order": 200})
    there = st.fixed_dictionaries({name: TARGETS[name] for name in names if name in KEYS})
    rows = draw(st.lists(row, min_size=1, max_size=5))
    earlier = [
        {**one, **({draw(st.sampled_from(sources)): ""} if draw(st.booleans()) else {})}
        for one in rows
        if draw(st.integers(0, 3))
    ]
    return Case(maps, draw(st.lists(there, max_size=1)), rows, earlier)


relaxed = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _records(case: Case) -> list[Record]:
    return [
        Record("s.any", f"R{n}", TABLE, {k: v for k, v in row.items() if v}, (), (), (), (), Place("any.csv", n, 0))
        for n, row in enumerate(case.rows, 1)
    ]


@pytest.mark.timeout(2400)
@given(case=cases(), many=st.booleans())
@relaxed
def test_what_is_foretold_is_what_the_instance_does(bench: Bench, case: Case, many: bool) -> None:
    """For maps without scripts: the same word for every row, and the next plan has nothing left of what was written."""
    sandbox = bench.sandbox
    sandbox.reset()
    columns = {name: ["string", name.upper(), 40] for name in SOURCES}
    seed = {"staging": {TABLE: {"columns": columns, "maps": case.maps}}}
    records = [{"table": "cmn_location", "name": name} for name in ("Paris", "Rome")]
    records += [{"table": "cmdb_ci_server", **{k: v for k, v in one.items() if v}} for one in case.there]
    sandbox.seed(seed, force=True)
    for one in records:
        table = one.pop("table")
        bench.connect().writer.send(f"/api/now/table/{table}", body=one)
    for row in case.earlier:
        bench.connect().writer.send(f"/api/now/import/{TABLE}", body={k: v for k, v in row.items() if v})
    options: dict[str, Any] = {"table": TABLE, "send": "multiple" if many else "single"}
    if many:
        options["labels"] = {name: name.upper() for name in SOURCES}
    used = {name: "s.yaml:9:9" for row in case.rows for name in row}
    info = StepInfo("s.any", "staging", "servicenow", "", "s.any", fields=used, options=options)
    plan = bench.plan(*_records(case), steps={"s.any": info})
    told = {change.op: change for change in plan.changes()}
    summary = bench.apply(plan)
    outcomes = bench.outcomes(summary.run)
    is_plain = len(case.maps) == 1 or not many
    for op, change in told.items():
        event(f"foretold {change.action}")
        if change.action in ("create", "update"):
            if is_plain or outcomes[op].code != "shows-last-map":
                assert outcomes[op].result == "applied", (change, outcomes[op])
            if is_plain:
                assert ACTIONS[outcomes[op].operation] == change.action, (change, outcomes[op])  # type: ignore[index]
            assert "drift" not in outcomes[op].warnings
    _same_again(bench, case, info, told)
    _left_alone_indeed(bench, case, told)


def _same_again(bench: Bench, case: Case, info: StepInfo, before: dict[int, Change]) -> None:
    """Who was foretold a change and got it is unchanged now, unless its map makes a record of every row."""
    again = bench.plan(*_records(case), steps={"s.any": info})
    for change in again.changes():
        was = before[change.op]
        if was.action == "update" and not was.reason and change.action not in ("unknown", "rejected"):
            assert change.action == "unchanged", (was, change)


def _left_alone_indeed(bench: Bench, case: Case, told: dict[int, Change]) -> None:
    """Rows that were foretold to be left alone are, when somebody sends them all the same."""
    for change in told.values():
        if change.action not in ("rejected", "unchanged") or change.code in ("same-identity", "two-keys-one-record"):
            continue
        values = {name: text for name, text in case.rows[int(change.key[1:]) - 1].items() if text}
        sent = bench.connect().writer.send(f"/api/now/import/{TABLE}", body=values)
        said = {one["status"] for one in sent.answer.body["result"]}
        allowed = {"ignored", "skipped"} if change.action == "unchanged" else {"skipped", "error"}
        assert said <= allowed, (change, sent.answer.body)
