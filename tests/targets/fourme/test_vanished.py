"""Records of 4me that the source no longer has."""

from __future__ import annotations

from tests.targets.fourme.desk import Desk, csv_of

ONE = """  {name}:
    4me: people
    key: id
    source: {name}
    fields: {{Primary Email: mail, Name: name}}
    vanished: {{do: retire, set: {{Disabled: true}}}}
"""
HEAD = (
    "syncengine: 1\ndata_source: HR\nguards: {max_retires: 9, max_updates: 9}\nsources: {a: a.csv, b: b.csv}\nsteps:\n"
)


def test_two_steps_of_one_type_and_source_do_not_retire_each_others_records(desk: Desk) -> None:
    """4me keeps a Source, not which step wrote a record: the plan says that it cannot tell, and retires nothing."""
    whole = csv_of(4)
    head, *rows = whole.splitlines()
    one, two = "\n".join([head, *rows[:2]]) + "\n", "\n".join([head, *rows[2:]]) + "\n"
    spec = HEAD + ONE.format(name="a") + ONE.format(name="b")
    desk.apply(desk.plan(spec, a_csv=one, b_csv=two))
    plan = desk.plan(spec, a_csv=one, b_csv="\n".join([head, rows[2]]) + "\n")
    assert plan.manifest.total("retire") == 0
    assert {note.code for note in plan.manifest.notes} >= {"vanished-unknown"}
    alone = desk.plan(HEAD.replace(", b: b.csv", "") + ONE.format(name="a"), a_csv="\n".join([head, *rows[:3]]) + "\n")
    assert alone.manifest.total("retire") == 1
