"""Two plans of one input are one plan; and what moves on the target between plan and apply is what counts."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3

from tests.examples.conftest import Examples

SPECS = "examples/datacentre"
SERVERS = f"{SPECS}/data/servers.csv"
CHANGED = 3


def more_memory(text: str) -> str:
    """The servers file with twice the memory for the first few servers."""
    head, *rows = text.splitlines(keepends=True)
    at = head.split(",").index("ram_gb")
    for number in range(CHANGED):
        cells = rows[number].split(",")
        cells[at] = str(int(cells[at]) * 2)
        rows[number] = ",".join(cells)
    return head + "".join(rows)


def lines_of(project: Examples, file: str) -> list[str]:
    """The lines of a plan as JSON, without the time at which it was made."""
    first, *rest = project.run("show", file, "--format", "json").ends(0).out.splitlines()
    return [json.dumps({**json.loads(first), "made_at": ""}), *rest]


def test_the_same_input_gives_the_same_plan(applied: Examples) -> None:
    """Another hash seed, 1 and 8 requests at a time, answers late and out of order, a runner that remembers nothing."""
    applied.edit(SERVERS, more_memory)
    applied.run("sandbox", "faults", "add", "api=ire_query, rate=0.5, seed=7, do=delay(0.0..0.2)").ends(0)
    for name, permits, number in (("one", "1", "1"), ("two", "8", "2")):
        command = ("plan", SPECS, "-o", f"{name}.plan", "--permits", permits)
        applied.process(*command, env={"PYTHONHASHSEED": number}).ends(0)
    met = applied.run("sandbox", "faults", "list").ends(0).out
    assert re.search(r"\(met [1-9][0-9]* of", met), met
    applied.run("sandbox", "faults", "clear").ends(0)
    for path in (applied.folder / ".syncengine").iterdir():
        if path.name != "sandbox":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    applied.run("plan", SPECS, "-o", "three.plan").ends(0)

    one, two, three = (lines_of(applied, f"{name}.plan") for name in ("one", "two", "three"))
    assert one == two == three
    assert sum('"action":"update"' in line for line in one) == CHANGED


def seed(project: Examples, records: dict[str, list[dict[str, str]]]) -> None:
    """Change records of the sandbox behind the back of everybody."""
    (project.folder / "behind.yaml").write_text(json.dumps({"records": records}), "utf-8")
    project.run("sandbox", "seed", "behind.yaml").ends(0)


def test_a_ci_that_was_only_seen_again_is_not_stale(applied: Examples) -> None:
    """Somebody's scan writes `last_discovered` of every CI between plan and apply: nothing is stopped."""
    applied.edit(SERVERS, more_memory)
    plan = applied.plan(SPECS, "second.plan", 2)
    assert len(plan.of("update")) == CHANGED
    with sqlite3.connect(applied.folder / ".syncengine" / "sandbox" / "data.db") as db:
        found = db.execute("SELECT class, sys_id FROM record WHERE class LIKE 'cmdb_ci_%'").fetchall()
    scanned: dict[str, list[dict[str, str]]] = {}
    for table, sys_id in found:
        scanned.setdefault(table, []).append({"sys_id": sys_id, "last_discovered": "2031-01-01 00:00:00"})
    assert sum(map(len, scanned.values())) > 500
    seed(applied, scanned)

    applied.apply("second.plan")

    assert applied.plan(SPECS, "third.plan", 0).lines == []


def test_a_record_changed_by_hand_is_stopped_and_no_other(applied: Examples) -> None:
    """The one record whose planned field somebody changed is not sent; the rest is; the next plan shows it again."""
    applied.edit(SERVERS, more_memory)
    plan = applied.plan(SPECS, "second.plan", 2)
    touched, *_ = plan.of("update")
    seed(applied, {touched["class_name"]: [{"sys_id": touched["sys_id"], "ram": "4242"}]})

    ran = applied.apply("second.plan", 8)

    assert f"1 of {CHANGED}" in ran.err
    (again,) = applied.plan(SPECS, "third.plan", 2).lines
    assert again["key"] == touched["key"]
    assert again["before"] == {"ram": "4242"}
