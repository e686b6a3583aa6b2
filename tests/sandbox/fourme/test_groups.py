"""Types of which several rows belong to one owner."""

from __future__ import annotations

import pytest

from tests.sandbox.fourme.conftest import Client, Row, Seed

HEAD = "Person,Contact Protocol,Contact Label,Contact URI,Integration"
PEOPLE = [{"Name": name, "Primary Email": f"{name.lower()}@x.com"} for name in ("Ann", "Bob")]


def contacts(me: Client) -> list[tuple[str, str]]:
    """Whose, and what."""
    return sorted((row["Person"][:3], row["Contact URI"]) for row in me.rows("people_contact_details"))


def test_integration_details_of_a_person_are_replaced(me: Client, seed: Seed) -> None:
    """Details that are made by hand stay, and so do those of others."""
    seed(people=PEOPLE)
    rows = "ann@x.com,telephone,work,1,1\nann@x.com,telephone,home,2,0\nbob@x.com,telephone,work,3,TRUE\n"
    assert me.results("people_contact_details", f"{HEAD}\n{rows}") == {"created": 3}
    assert me.results("people_contact_details", f"{HEAD}\nann@x.com,email,work,a@x.com,1\n") == {
        "created": 1,
        "deleted": 1,
    }
    assert contacts(me) == [("ann", "2"), ("ann", "a@x.com"), ("bob", "3")]
    assert me.results("people_contact_details", f"{HEAD}\nann@x.com,telephone,home,2,0\n") == {"unchanged": 1}
    person = me.get("/people", name="Ann").json()[0]["id"]
    made = next(one for one in me.get(f"/people/{person}/contacts").json() if one["uri"] == "a@x.com")["id"]
    freed = f"ID,Person,Integration\n{made},ann@x.com,0\n"
    assert me.results("people_contact_details", freed) == {"updated": 1}
    assert me.results("people_contact_details", f"{HEAD}\nann@x.com,telephone,work,5,1\n") == {"created": 1}
    assert ("ann", "a@x.com") in contacts(me)


def test_a_second_block_of_one_owner_removes_the_first(me: Client, seed: Seed) -> None:
    """Documented; this is why rows of one owner have to stand together."""
    seed(people=PEOPLE)
    rows = "ann@x.com,telephone,work,1,1\nbob@x.com,telephone,work,3,1\nann@x.com,telephone,home,2,1\n"
    assert me.results("people_contact_details", f"{HEAD}\n{rows}") == {"created": 3, "deleted": 1}
    assert contacts(me) == [("ann", "2"), ("bob", "3")]


def test_counters_of_groups_count_rows_or_owners(me: Client, seed: Seed) -> None:
    """By setting, since no page says."""
    seed(people=PEOPLE)
    me.running.settings(fourme__counters="owners")
    rows = "ann@x.com,telephone,work,1,1\nann@x.com,telephone,home,2,1\nbob@x.com,telephone,work,3,1\n"
    assert me.results("people_contact_details", f"{HEAD}\n{rows}") == {"created": 2}


def test_relations_of_a_ci_are_replaced_by_source(me: Client, seed: Seed) -> None:
    """With a Source those of that Source; without one nothing is removed. CIs by label, or by their pair."""
    seed(
        product_categories=[{"Name": "Server", "Rule Set": "server"}],
        products=[{"Name": "R1", "Brand": "B", "Category": "server"}],
        cis=[
            {"Product": "R1", "Label": name, "Status": "in_production", "Source": "D", "Source ID": f"d{name}"}
            for name in "ABC"
        ],
    )
    head = (
        "Source,CI Source,CI Source ID,CI Label,Related CI Source,Related CI Source ID,Related CI Label,Relation Type"
    )

    def relations() -> list[str]:
        return sorted(row["CI Label"] + row["Related CI Label"] + row["Source"] for row in me.rows("ci_relations"))

    first = f"{head}\nX,D,dA,,,,B,parent\nX,,,A,,,C,parent\nY,,,A,,,C,parent\n,,,A,,,C,parent\n"
    assert me.results("ci_relations", first) == {"created": 4, "deleted": 1}
    # the first row names the CI in another way than the second, so they are two blocks
    assert relations() == ["AC", "ACX", "ACY"]
    assert me.results("ci_relations", f"{head}\n,,,A,,,C,parent\n,,,A,,,B,parent\n") == {"created": 1, "unchanged": 1}
    assert me.results("ci_relations", f"{head}\nX,,,A,,,B,parent\n") == {"created": 1, "deleted": 1}
    assert relations() == ["AB", "ABX", "AC", "ACY"]
    ci = me.get("/cis", label="A").json()[0]["id"]
    assert {one["ci"]["label"] for one in me.get(f"/cis/{ci}/ci_relations").json()} == {"B", "C"}


def test_roles_that_a_file_does_not_give_any_more_are_gone(me: Client, seed: Seed) -> None:
    """All roles of a person that imports have given are overwritten."""
    seed(people=PEOPLE)
    head = "Person,Role Account,Specialist,Auditor"
    assert me.results("people_roles", f"{head}\nann@x.com,a,1,1\nann@x.com,b,1,\nbob@x.com,a,1,\n") == {"created": 3}
    assert me.results("people_roles", f"{head}\nann@x.com,a,1,1\nann@x.com,b,1,\nbob@x.com,a,1,\n") == {"unchanged": 3}
    assert me.results("people_roles", f"{head}\nann@x.com,a,,1\n") == {"updated": 1, "deleted": 1}
    shown = [{k: v for k, v in row.items() if v not in ("", "false")} for row in me.rows("people_roles")]
    assert shown == [
        {"Person": "ann@x.com", "Role Account": "a", "Auditor": "true"},
        {"Person": "bob@x.com", "Role Account": "a", "Specialist": "true"},
    ]


def test_rows_of_a_calendar_are_its_hours(me: Client) -> None:
    """One record of several rows; a faulty one fails them all."""
    head = "Source,Source ID,Name,Weekday,From,Until"
    week = "".join(f"HR,c1,Office,{day},08:00,24:00\n" for day in ("mon", "tue"))
    assert me.results("calendars", f"{head}\n{week}HR,c2,Night,sat,00:00,06:00\n") == {"created": 3}
    assert me.results("calendars", f"{head}\n{week}") == {"unchanged": 2}
    assert me.results("calendars", f"{head}\nHR,c1,Office,wed,09:00,17:00\n") == {"updated": 1}
    hours = [(row["Name"], row["Weekday"], row["From"]) for row in me.rows("calendars")]
    assert hours == [("Office", "wed", "09:00"), ("Night", "sat", "00:00")]
    told = me.load("calendars", f"{head}\n,,Night,mon,01:00,02:00\n,,Night,tue,01:00,02:00\n")
    assert me.log(told) == [f"line {n}: Name has already been taken" for n in (2, 3)]


@pytest.mark.parametrize("kind", ["time_entries", "product_backlog_items"])
def test_records_are_removed_by_their_column_only(me: Client, seed: Seed, kind: str) -> None:
    """`Deleted` and `Remove` (documented) are counted as deleted."""
    seed(
        people=PEOPLE,
        requests=[{"Subject": "Help", "Category": "incident", "Source": "T", "Source ID": "1"}],
        product_backlogs=[{"Name": "Backlog"}],
    )
    number = me.rows("requests")[0]["ID"]
    rows: dict[str, list[Row]] = {
        "time_entries": [{"Source": "T", "Source ID": "1", "Person": "ann@x.com", "Time Spent": "1:30"}],
        "product_backlog_items": [{"Product Backlog": "Backlog", "Request": number, "Position": "1"}],
    }
    assert me.results(kind, rows[kind]) == {"created": 1}
    assert me.results(kind, rows[kind]) == {"unchanged": 1}
    word = "Deleted" if kind == "time_entries" else "Remove"
    assert me.results(kind, [{**rows[kind][0], word: "1"}]) == {"deleted": 1}
    assert me.rows(kind) == []
