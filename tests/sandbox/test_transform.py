"""What a transform map makes of rows: each rule by itself, and all together against a model that knows no index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from syncengine.sandbox import seeds
from syncengine.sandbox.accounts import Accounts
from syncengine.sandbox.seed_sections import SeedError
from syncengine.sandbox.staging.results import Result
from syncengine.sandbox.staging.sets import SLICE, ImportSets
from syncengine.sandbox.staging.transform import Transform
from syncengine.sandbox.world import World
from tests.budget import examples

FIELDS = ("asset_tag", "serial_number", "display_name")
MARKS = {"asset_tag": "u_tag", "serial_number": "u_serial", "display_name": "u_name"}
COLUMNS = {"u_tag": "string", "u_serial": "string", "u_name": "string", "u_note": "string"}


class Imports:
    """One world with one staging table."""

    def __init__(self) -> None:
        self.world = World()
        self.sets = ImportSets(self.world)

    def seed(self, **document: Any) -> None:
        """Apply a seed."""
        seeds.apply(self.world, Accounts(self.world.store), document, force=True)

    def map(self, fields: dict[str, Any], *, target: str = "alm_asset", **options: Any) -> None:
        """Give the staging table this map and no other."""
        one = {"name": "Assets", "target": target, "fields": fields, **options}
        self.seed(staging={"u_asset": {"columns": COLUMNS, "maps": [one]}})

    def one(self, **row: Any) -> Result:
        """Insert one row; what its only map made of it."""
        (result,) = self.every(**row)
        return result

    def every(self, **row: Any) -> list[Result]:
        """Insert one row; what each map made of it."""
        found = self.sets.insert_one(self.world.tables["u_asset"], row, "tester")[2]
        self.world.refresh()
        return found

    def many(self, rows: list[dict[str, str]]) -> list[str]:
        """Insert rows at once; their states."""
        table = self.world.tables["u_asset"]
        self.seed(staging={"u_asset": {"insert_multiple": {"keys": "names"}}})
        sys_id, _ = self.sets.insert_many(table, rows, "tester")
        self.sets.run()
        return [row.values["sys_import_state"] for row in self.world.store.staged(sys_id)]

    def records(self, table: str = "alm_asset") -> list[dict[str, str]]:
        """Target records, oldest first, without system columns."""
        found = self.world.store.all(*self.world.tables[table].below)
        return [{k: v for k, v in one.values.items() if not k.startswith("sys_")} for one in found]


@pytest.fixture
def imports() -> Iterator[Imports]:
    """An empty one."""
    one = Imports()
    yield one
    one.world.store.close()


TAG = {"source": "u_tag", "coalesce": True}


def test_without_a_coalesce_every_row_is_a_new_record(imports: Imports) -> None:
    """Documented."""
    imports.map({"asset_tag": "u_tag"})
    assert [imports.one(u_tag="a").status for _ in range(2)] == ["inserted", "inserted"]
    assert imports.records() == [{"asset_tag": "a"}, {"asset_tag": "a"}]


def test_a_coalesce_finds_without_regard_to_case_unless_it_is_told_to(imports: Imports) -> None:
    """Documented; blanks count, as they do for the operator = of a query."""
    imports.map({"asset_tag": TAG, "display_name": "u_name"})
    assert imports.one(u_tag="Ab", u_name="x").status == "inserted"
    assert imports.one(u_tag="aB", u_name="y").status == "updated"
    assert imports.one(u_tag="ab ", u_name="y").status == "inserted"
    imports.map({"asset_tag": {**TAG, "case_sensitive": True}, "display_name": "u_name"})
    assert imports.one(u_tag="AB", u_name="z").status == "inserted"
    assert imports.one(u_tag="aB", u_name="y").status == "ignored"


def test_all_coalesce_columns_must_match(imports: Imports) -> None:
    """Documented."""
    imports.map({"asset_tag": TAG, "serial_number": {"source": "u_serial", "coalesce": True}})
    rows = [("a", "1"), ("a", "2"), ("A", "1")]
    assert [imports.one(u_tag=t, u_serial=s).status for t, s in rows] == ["inserted", "inserted", "updated"]


def test_one_case_sensitive_column_among_others(imports: Imports) -> None:
    """The other is compared without regard to case."""
    serial = {"source": "u_serial", "coalesce": True, "case_sensitive": True}
    imports.map({"asset_tag": TAG, "serial_number": serial, "display_name": "u_name"})
    assert imports.one(u_tag="a", u_serial="s", u_name="1").status == "inserted"
    assert imports.one(u_tag="A", u_serial="s", u_name="2").status == "updated"
    assert imports.one(u_tag="a", u_serial="S", u_name="3").status == "inserted"


def test_an_empty_coalesce_value_skips_the_row(imports: Imports) -> None:
    """Unless the map makes a record then, or the column matches empty ones (documented)."""
    imports.map({"asset_tag": TAG, "display_name": "u_name"})
    skipped = imports.one(u_name="x")
    assert (skipped.status, skipped.table, skipped.has_target) == ("skipped", "u_asset", False)
    assert imports.one(u_tag="NULL", u_name="x").status == "skipped"
    imports.map({"asset_tag": TAG, "display_name": "u_name"}, create_new_record_on_empty_coalesce_fields=True)
    assert [imports.one(u_name="x").status for _ in range(2)] == ["inserted", "inserted"]
    imports.map({"asset_tag": {**TAG, "coalesce_empty": True}, "display_name": "u_name"})
    assert imports.one(u_name="y").status == "updated"
    assert sorted(r["display_name"] for r in imports.records()) == ["x", "y"]


def test_of_two_empty_coalesce_values_one_is_enough_or_it_takes_both(imports: Imports) -> None:
    """Not stated: setting transform.empty_coalesce."""
    serial = {"source": "u_serial", "coalesce": True}
    imports.map({"asset_tag": TAG, "serial_number": serial})
    assert imports.one(u_tag="a").status == "skipped"
    imports.seed(settings={"transform.empty_coalesce": "all"})
    assert [imports.one(u_tag="a").status for _ in range(2)] == ["inserted", "ignored"]
    assert imports.one().status == "skipped"


@pytest.mark.parametrize(("way", "place"), [("oldest", 0), ("newest", 2), ("sys_id", 1)])
def test_of_several_matches_one_is_changed(imports: Imports, way: str, place: int) -> None:
    """The first (documented); which is first is not stated: setting transform.first_match."""
    twins = [{"sys_id": one * 32, "asset_tag": "a", "display_name": "before"} for one in ("b", "a", "c")]
    imports.seed(records={"alm_asset": twins}, settings={"transform.first_match": way})
    imports.map({"asset_tag": TAG, "display_name": "u_name"})
    assert imports.one(u_tag="a", u_name="after").sys_id == twins[place]["sys_id"]
    assert [r["display_name"] for r in imports.records()].index("after") == place


def test_a_record_that_has_the_values_is_left_alone(imports: Imports) -> None:
    """Documented state and text; nothing stands in the ledger, nothing in the record changes."""
    imports.map({"asset_tag": TAG, "display_name": "u_name"})
    first = imports.one(u_tag="a", u_name="x")
    before = imports.world.store.get("alm_asset", first.sys_id)
    imports.world.advance(60)
    again = imports.one(u_tag="a", u_name="x")
    assert (again.status, again.message, again.sys_id) == ("ignored", "No field values changed", first.sys_id)
    assert imports.world.store.get("alm_asset", first.sys_id) == before
    assert imports.world.ledger.counts() == {"insert": {"alm_asset": 1}, "stage": {"u_asset": 2}}


def test_an_empty_value_clears_only_under_copy_empty_fields(imports: Imports) -> None:
    """Sent as an empty text or not sent at all is the same; the word NULL clears either way (documented)."""
    for copies, way, left in [(False, {"u_name": ""}, "x"), (False, {}, "x"), (False, {"u_name": "NULL"}, None),
                              (True, {"u_name": ""}, None), (True, {}, None)]:  # fmt: skip
        tag = f"{copies}{way}"
        imports.map({"asset_tag": TAG, "display_name": "u_name"}, copy_empty_fields=copies)
        imports.one(u_tag=tag, u_name="x")
        assert imports.one(u_tag=tag, **way).status == ("ignored" if left else "updated")
        assert imports.records()[-1].get("display_name") == left


@pytest.mark.parametrize(("action", "status"), [("create", "inserted"), ("ignore", "inserted"), ("reject", "skipped")])
def test_a_referenced_record_that_is_missing(imports: Imports, action: str, status: str) -> None:
    """Made by default, left out, or the row is turned away (documented)."""
    imports.map({"name": TAG, "location": {"source": "u_name", "choice_action": action}},
                target="sys_user")  # fmt: skip
    assert imports.one(u_tag="ada", u_name="Paris").status == status
    assert imports.records("cmn_location") == ([{"name": "Paris"}] if action == "create" else [])
    found = [bool(user.get("location")) for user in imports.records("sys_user")]
    assert found == {"create": [True], "ignore": [False], "reject": []}[action]


def test_a_reference_is_found_by_display_value_by_a_named_column_or_by_sys_id(imports: Imports) -> None:
    """Documented but for the sys_id, which is a setting."""
    place, ada = "c" * 32, "d" * 32
    imports.seed(records={"cmn_location": [{"sys_id": place, "name": "Paris", "city": "PAR"}]})
    for field, text, found in [
        ({}, "paris", place),
        ({"reference_value_field": "city"}, "PAR", place),
        ({}, place, place),
    ]:
        imports.seed(records={"sys_user": [{"sys_id": ada, "user_name": "ada", "location": "e" * 32}]})
        fields = {"user_name": TAG, "location": {"source": "u_name", "choice_action": "ignore", **field}}
        imports.map(fields, target="sys_user")
        assert imports.one(u_tag="ada", u_name=text).status == "updated"
        assert imports.records("sys_user")[0]["location"] == found
    imports.seed(settings={"transform.reference_sys_id": False})
    assert imports.one(u_tag="bob", u_name=place).status == "inserted"
    assert "location" not in imports.records("sys_user")[1]


def test_rows_of_one_set_refer_to_records_that_earlier_rows_made(imports: Imports) -> None:
    """Also where both are looked up at once, and to references that were made for them."""
    imports.map({"user_name": TAG, "name": "u_name", "manager": "u_serial"}, target="sys_user")
    rows = [{"u_tag": "a", "u_name": "Ada"}, {"u_tag": "b", "u_name": "Bob", "u_serial": "ada"},
            {"u_tag": "c", "u_serial": "New"}, {"u_tag": "d", "u_serial": "new"}]  # fmt: skip
    assert imports.many(rows) == ["inserted"] * 4
    users = {user.get("user_name", user.get("name")): user for user in imports.records("sys_user")}
    assert len(users) == 5
    assert users["c"]["manager"] == users["d"]["manager"]


def test_rows_of_one_set_see_what_earlier_rows_have_changed(imports: Imports) -> None:
    """A record that was renamed is found by its new name, and no longer by the old one."""
    imports.seed(records={"sys_user": [{"user_name": "a", "name": "Ada"}]})
    imports.map({"user_name": TAG, "name": "u_name", "manager": "u_serial"}, target="sys_user")
    rows = [{"u_tag": "z", "u_serial": "Ada"}, {"u_tag": "a", "u_name": "Eve"}, {"u_tag": "b", "u_serial": "Eve"},
            {"u_tag": "c", "u_serial": "Ada"}]  # fmt: skip
    assert imports.many(rows) == ["inserted", "updated", "inserted", "inserted"]
    users = {user.get("user_name", ""): user for user in imports.records("sys_user")}
    assert users["b"]["manager"] == users["z"]["manager"] != users["c"]["manager"]


@pytest.mark.parametrize(("action", "status"), [("create", "inserted"), ("ignore", "inserted"), ("reject", "skipped")])
def test_a_choice_that_is_missing(imports: Imports, action: str, status: str) -> None:
    """Made by default, left out, or the row is turned away (documented)."""
    imports.seed(choices={"alm_asset.display_name": {"1": "One"}})
    imports.map({"asset_tag": TAG, "display_name": {"source": "u_name", "choice_action": action}})
    assert imports.one(u_tag="a", u_name="one").status == "inserted"
    assert imports.one(u_tag="b", u_name="2").status == status
    expected = [{"asset_tag": "a", "display_name": "1"}]
    expected += {"create": [{"asset_tag": "b", "display_name": "2"}], "ignore": [{"asset_tag": "b"}], "reject": []}[
        action
    ]
    assert imports.records() == expected
    choices = [r.values["value"] for r in imports.world.store.all("sys_choice") if r.values["name"] == "alm_asset"]
    assert choices == (["1", "2"] if action == "create" else ["1"])


def test_dates_are_read_in_the_format_of_their_field_map(imports: Imports) -> None:
    """What is no such date leaves the field, or clears it: setting transform.bad_date."""
    fields = {"name": {"source": "u_tag", "coalesce": True},
              "install_date": {"source": "u_name", "date_format": "dd.MM.yyyy"}}  # fmt: skip
    imports.map(fields, target="cmdb_ci_service")
    imports.one(u_tag="a", u_name="31.12.2026")
    assert imports.records("cmdb_ci_service")[0]["install_date"] == "2026-12-31 00:00:00"
    assert imports.one(u_tag="a", u_name="2026-12-31 00:00:00").status == "ignored"
    assert imports.one(u_tag="a", u_name="tomorrow").status == "ignored"
    imports.seed(settings={"transform.bad_date": "cleared"})
    assert imports.one(u_tag="a", u_name="tomorrow").status == "updated"


def test_numbers_and_booleans_are_text_or_have_one_form(imports: Imports) -> None:
    """Not stated: setting transform.typed."""
    fields = {"name": {"source": "u_tag", "coalesce": True}, "ram": "u_name", "virtual": "u_note"}
    imports.map(fields, target="cmdb_ci_server")
    imports.one(u_tag="a", u_name="064", u_note="yes")
    imports.seed(settings={"transform.typed": True})
    imports.one(u_tag="b", u_name="064", u_note="yes")
    assert imports.one(u_tag="b", u_name=" 64", u_note="1").status == "ignored"
    assert imports.one(u_tag="b", u_name="many", u_note="maybe").status == "ignored"
    shown = [(server.get("ram"), server.get("virtual")) for server in imports.records("cmdb_ci_server")]
    assert shown == [("064", "yes"), ("64", "true")]


def test_scripts_have_stand_ins(imports: Imports) -> None:
    """Templates for fields; ignore, error and set for rows; what is no stand-in does nothing."""
    scripts = [{"if": "u_name=bad", "do": "ignore"}, {"if": "u_name=worse", "do": "error", "message": "No such asset"},
               {"when": "onAfter", "if": "u_note=late", "do": "set",
                "values": {"display_name": "{u_tag|upper}!"}}]  # fmt: skip
    imports.map({"asset_tag": TAG, "serial_number": {"script": "{u_tag|upper}-{u_name|trim}"}}, scripts=scripts)
    assert imports.one(u_tag="a", u_name=" x ").status == "inserted"
    ignored, failed = imports.one(u_tag="b", u_name="bad"), imports.one(u_tag="c", u_name="worse")
    assert (ignored.status, ignored.message) == ("ignored", "Row transform ignored by onBefore script")
    assert (failed.status, failed.message, failed.has_target) == ("error", "No such asset", False)
    imports.one(u_tag="d", u_note="late")
    assert imports.records() == [
        {"asset_tag": "a", "serial_number": "A-x"},
        {"asset_tag": "d", "serial_number": "D-", "display_name": "D!"},
    ]
    javascript = {"map": imports.world.maps.of("u_asset")[0].sys_id, "when": "onBefore", "script": "ignore = true;"}
    imports.seed(records={"sys_transform_script": [javascript]})
    assert imports.one(u_tag="e").status == "inserted"


def test_a_script_can_halt_the_whole_transform(imports: Imports) -> None:
    """Documented for scripts that set `error`; the rows behind it stay as they are."""
    imports.map({"asset_tag": TAG}, scripts=[{"if": "u_tag=b", "do": "stop"}])
    assert imports.many([{"u_tag": tag} for tag in "abc"]) == ["inserted", "error", "pending"]
    assert [run.values["state"] for run in imports.world.store.all("sys_import_set_run")] == ["complete_with_errors"]


def test_a_defect_of_the_sandbox_ends_one_set_and_no_other(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its slice is written; the set is cancelled and its run did not complete."""
    imports.map({"asset_tag": TAG})
    one = Transform.row
    monkeypatch.setattr(Transform, "row", lambda self, row: 1 / 0 if row.values["u_tag"] == "x" else one(self, row))
    assert imports.many([{"u_tag": f"a{n}"} for n in range(SLICE)] + [{"u_tag": "b"}, {"u_tag": "x"}]) == [
        *["inserted"] * SLICE,
        "pending",
        "pending",
    ]
    assert [one.values["state"] for one in imports.world.store.all("sys_import_set")] == ["cancelled"]
    assert [run.values["state"] for run in imports.world.store.all("sys_import_set_run")] == ["did_not_complete"]
    assert imports.many([{"u_tag": "c"}]) == ["inserted"]


def test_broken_maps_are_errors_of_their_rows(imports: Imports) -> None:
    """A target that does not exist fails (observed text); a field that does not exist is left out."""
    imports.map({"asset_tag": TAG}, target="u_gone")
    failed = imports.one(u_tag="a")
    assert (failed.status, failed.message) == ("error", "Invalid table u_gone")
    imports.map({"asset_tag": TAG, "u_gone": "u_name"})
    assert imports.one(u_tag="a", u_name="x").status == "inserted"
    assert imports.records() == [{"asset_tag": "a"}]


def test_inactive_maps_do_not_run_and_active_ones_run_by_their_order(imports: Imports) -> None:
    """Each one for itself, with a result of its own."""
    common = {"target": "alm_asset", "fields": {"display_name": "u_name"}}
    maps = [{"name": name, "order": order, "active": active, **common}
            for name, order, active in [("Late", 200, True), ("Off", 50, False), ("Soon", 100, True)]]  # fmt: skip
    imports.seed(staging={"u_asset": {"columns": COLUMNS, "maps": maps}})
    assert [(one.map_name, one.status) for one in imports.every(u_name="x")] == [
        ("Soon", "inserted"),
        ("Late", "inserted"),
    ]


def test_mandatory_fields_are_enforced_as_the_map_says(imports: Imports) -> None:
    """No, only mapped fields, all fields (documented); the row's state then is a setting."""
    imports.map({"asset_tag": TAG})
    for record in imports.world.store.all("sys_dictionary"):
        if record.values["name"] == "alm_asset" and record.values["element"] in ("asset_tag", "serial_number"):
            before = dict(record.values)
            record.values["mandatory"] = "true"
            imports.world.store.update_many([(record, record.table, before)])
    imports.world.refresh()
    for way, status in [("No", "inserted"), ("onlyMappedFields", "inserted"), ("allFields", "error")]:
        imports.map({"asset_tag": TAG, "display_name": "u_name"}, enforce_mandatory_fields=way)
        assert imports.one(u_tag=way).status == status


def test_business_rules_abort_unless_the_map_runs_none(imports: Imports) -> None:
    """Observed text, in the row's error."""
    rule = {"name": "No drafts", "collection": "alm_asset", "abort_action": "true", "action_insert": "true",
            "filter_condition": "display_name=draft"}  # fmt: skip
    imports.seed(records={"sys_script": [rule]})
    imports.map({"asset_tag": TAG, "display_name": "u_name"})
    failed = imports.one(u_tag="a", u_name="draft")
    assert (failed.status, "aborted by Business Rule" in failed.message) == ("error", True)
    imports.map({"asset_tag": TAG, "display_name": "u_name"}, run_business_rules=False)
    assert imports.one(u_tag="a", u_name="draft").status == "inserted"


def test_a_robust_transformer_does_not_tell_the_row_its_target(imports: Imports) -> None:
    """Documented; what it does is nevertheless done."""
    imports.map({"asset_tag": TAG})
    imports.seed(staging={"u_asset": {"robust": True}})
    assert imports.one(u_tag="a").has_target is False
    assert imports.records() == [{"asset_tag": "a"}]


MAP = {"name": "x", "target": "alm_asset"}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (5, "staging"),
        ({"u_a": 5}, "staging.u_a"),
        ({"u_a": {"columns": ["u_x"]}}, "staging.u_a"),
        ({"u_a": {"columns": {"u_x": 5}}}, "staging.u_a.columns.u_x"),
        ({"u_a": {"columns": COLUMNS, "colums": {}}}, "staging.u_a"),
        ({"u_a": {"columns": COLUMNS, "maps": {}}}, "staging.u_a.maps"),
        ({"u_a": {"columns": COLUMNS, "maps": [5]}}, "staging.u_a.maps[0]"),
        ({"u_a": {"columns": COLUMNS, "maps": [{"name": "x"}]}}, "staging.u_a.maps[0]: target"),
        ({"u_a": {"columns": COLUMNS, "maps": [{**MAP, "fields": []}]}}, "staging.u_a.maps[0].fields"),
        ({"u_a": {"columns": COLUMNS, "maps": [{**MAP, "fields": {"a": {"colaesce": True}}}]}}, "maps[0].fields.a"),
        ({"u_a": {"columns": COLUMNS, "maps": [{**MAP, "scripts": [{"do": "dance"}]}]}}, "staging.u_a.maps[0]"),
        ({"u_a": {"columns": COLUMNS, "maps": [{**MAP, "scripts": [{"when": "now"}]}]}}, "maps[0].scripts[0]"),
        ({"u_a": {"columns": COLUMNS, "insert_multiple": {"keys": "both"}}}, "staging.u_a.insert_multiple"),
        ({"u_a": {"maps": [MAP]}}, "staging.u_a"),
        ({"sys_user": {"columns": COLUMNS}}, "staging.sys_user"),
    ],
)
def test_a_seed_that_cannot_be_read_says_where_and_leaves_nothing(imports: Imports, document: Any, place: str) -> None:
    """Also of what stood before the fault in the same document."""
    before = len(list(imports.world.tables))
    with pytest.raises(SeedError) as caught:
        imports.seed(tables={"u_other": {"columns": {"u_x": "string"}}}, staging=document)
    assert place in str(caught.value)
    assert len(list(imports.world.tables)) == before
    assert "u_a" not in imports.world.tables


# -- all rules together -----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A map, what is there before, and rows."""

    coalesce: dict[str, tuple[bool, bool]]
    """Target field → (case-sensitive, matches empty ones)."""
    copies_empty: bool
    creates_on_empty: bool
    before: list[dict[str, str]]
    rows: list[dict[str, str]]


VALUES = st.sampled_from(["", "a", "A", "b", "NULL"])
STATE = st.lists(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["a", "A", "b"])), max_size=4)
CASES = st.builds(
    Case,
    st.dictionaries(st.sampled_from(FIELDS), st.tuples(st.booleans(), st.booleans()), max_size=2),
    st.booleans(),
    st.booleans(),
    STATE,
    st.lists(st.fixed_dictionaries(dict.fromkeys(MARKS.values(), VALUES)), max_size=6),
)


def model(case: Case) -> tuple[list[str], list[dict[str, str]]]:
    """States of the rows and the records afterwards, by reading all records for each row."""
    records = [dict(one) for one in case.before]
    states = []
    for row in case.rows:
        sent = {field: row[MARKS[field]] for field in FIELDS}
        empty = [f for f, (_, matches) in case.coalesce.items() if sent[f] in ("", "NULL") and not matches]
        if empty and not case.creates_on_empty:
            states.append("skipped")
            continue
        values = {}
        for field, text in sent.items():
            if text == "NULL" or (not text and case.copies_empty):
                values[field] = ""
            elif text:
                values[field] = text
        found = None
        if case.coalesce and not empty:
            found = next((one for one in records if all(same(one.get(f, ""), values.get(f, ""), strict)
                          for f, (strict, _) in case.coalesce.items())), None)  # fmt: skip
        if found is None:
            filled = {field: text for field, text in values.items() if text}
            states.append("inserted" if filled else "skipped")
            records += [filled] if filled else []
            continue
        changed = {field: text for field, text in values.items() if found.get(field, "") != text}
        states.append("updated" if changed else "ignored")
        for field, text in changed.items():
            found[field] = text
            if not text:
                del found[field]
    return states, records


def same(one: str, other: str, strict: bool) -> bool:
    """How coalesce values are compared."""
    return one == other if strict else one.lower() == other.lower()


TRIAL = Imports()


def fresh(case: Case) -> None:
    """The case's map, and its records as the only ones."""
    with TRIAL.world.store.transaction():
        for record in TRIAL.world.store.all("alm_asset"):
            TRIAL.world.store.delete(record)
    fields = {
        field: {"source": mark}
        | (
            {"coalesce": True, "case_sensitive": c[0], "coalesce_empty": c[1]}
            if (c := case.coalesce.get(field))
            else {}
        )
        for field, mark in MARKS.items()
    }
    TRIAL.map(
        fields,
        copy_empty_fields=case.copies_empty,
        create_new_record_on_empty_coalesce_fields=case.creates_on_empty,
    )
    if case.before:
        TRIAL.seed(records={"alm_asset": case.before})


@given(case=CASES)
@settings(max_examples=examples(100), deadline=None)
def test_any_map_does_what_the_rules_say(case: Case) -> None:
    """States and records are those of the model; one row at a time and all at once come to the same."""
    states, records = model(case)
    fresh(case)
    assert TRIAL.many(case.rows) == states
    assert TRIAL.records() == records
    fresh(case)
    assert [TRIAL.one(**row).status for row in case.rows] == states
    assert TRIAL.records() == records


@given(case=CASES)
@settings(max_examples=30, deadline=None)
def test_the_same_rows_again_change_nothing(case: Case) -> None:
    """Where rows are found again by a coalesce, and no two of them by the same one."""
    assume(case.coalesce and not case.creates_on_empty)
    fresh(case)
    own = {
        tuple(row[MARKS[field]].lower().replace("null", "") for field in sorted(case.coalesce)): row
        for row in case.rows
    }
    TRIAL.many(list(own.values()))
    before = TRIAL.records()
    again = TRIAL.many(list(own.values()))
    assert set(again) <= {"ignored", "skipped"}
    assert TRIAL.records() == before
