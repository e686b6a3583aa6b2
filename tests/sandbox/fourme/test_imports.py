"""Imports: which record a row is, what it changes, why it fails, and what the job says."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.fourme.conftest import Client, Seed

HEAD = "Source,Source ID,Name,Primary Email"


def test_people_are_created_updated_and_left_alone(me: Client) -> None:
    """The pair finds them; who changes nothing is counted as unchanged; every write stands in the ledger."""
    assert me.results("people", f"{HEAD}\nHR,1,Ann,ann@x.com\nHR,2,Bob,bob@x.com\n") == {"created": 2}
    assert me.results("people", f"{HEAD}\nHR,1,Ann B,ann@x.com\nHR,2,Bob,bob@x.com\n") == {"updated": 1, "unchanged": 1}
    assert [(e["kind"], e["table"], e["key"]) for e in me.running.ledger()] == [
        ("insert", "people", "sandbox|HR|1"),
        ("insert", "people", "sandbox|HR|2"),
        ("update", "people", "sandbox|HR|1"),
    ]


def test_a_missing_column_leaves_alone_and_an_empty_cell_clears(me: Client) -> None:
    """Documented for missing columns; an empty cell: inferred."""
    me.load("people", f"{HEAD},Job Title,Location\nHR,1,Ann,ann@x.com,Clerk,R 1\n")
    assert me.results("people", "Source,Source ID,Job Title\nHR,1,\n") == {"updated": 1}
    assert me.rows("people", "Name", "Job Title", "Location") == [{"Name": "Ann", "Location": "R 1"}]
    told = me.load("people", "Source,Source ID,Name\nHR,1,\n")
    assert told["results"]["failures"] == 1
    assert me.log(told) == ["line 2: Name can't be blank"]


def test_records_are_found_by_id_then_pair_then_special_key(me: Client, seed: Seed) -> None:
    """Documented order; on a match by Primary Email, empty Source columns clear the stored pair."""
    seed(people=[{"Name": "Ann", "Primary Email": "ann@x.com", "Source": "HR", "Source ID": "1"}])
    number = me.rows("people")[0]["ID"]
    assert me.results("people", f"ID,Source,Source ID,Name\n{number},Other,9,By ID\n") == {"updated": 1}
    assert me.results("people", "Source,Source ID,Name\nOther,9,By pair\n") == {"updated": 1}
    assert me.results("people", "Primary Email,Name\nANN@x.com,By email\n") == {"updated": 1}
    assert me.rows("people", "Name", "Source", "Source ID") == [
        {"Name": "By email", "Source": "Other", "Source ID": "9"}
    ]
    assert me.results("people", "Primary Email,Source,Source ID\nann@x.com,,\n") == {"updated": 1}
    assert me.rows("people", "Name", "Source", "Source ID") == [{"Name": "By email"}]
    told = me.load(
        "people", "ID,Source,Source ID,Name,Primary Email\n7,,,X,x@x.com\n,HR,5,Y,ann@x.com\n,HR,,Z,z@x.com\n"
    )
    assert me.log(told) == ["line 2: ID 7 not found", "line 3: Primary Email has already been taken"]
    assert told["results"]["created"] == 1


def test_references_are_found_by_the_rule_of_their_type(me: Client, seed: Seed) -> None:
    """Name, Primary Email, Label, Reference, and software versions by name; who is not there fails its row."""
    seed(
        organizations=[{"Name": "Widget"}],
        people=[{"Name": "Ann", "Primary Email": "ann@x.com"}],
        product_categories=[
            {"Name": "Laptop", "Group": "Computer", "Rule Set": "physical_asset"},
            {"Name": "Software", "Rule Set": "software"},
        ],
        products=[
            {"Name": "L 1", "Brand": "B", "Category": "computer/laptop", "Supplier": "Widget"},
            {"Name": "S 1", "Brand": "B", "Category": "software"},
        ],
    )
    told = me.load(
        "cis",
        "Source,Source ID,Product,Label,Name,Status,Users\n"
        'D,1,L 1,LAP1,,in_production,"ann@x.com\napi.user@sandbox.example"\n'
        "D,2,S 1,,Office 1,in_production,\n"
        "D,3,L 2,,,in_production,\n"
        "D,4,L 1,,,gone,nobody@x.com\n",
    )
    assert told["results"] == {"created": 2, "updated": 0, "deleted": 0, "unchanged": 0, "failures": 2, "errors": 0}
    assert me.log(told) == [
        'line 5: Product "L 2" not found',
        'line 6: Status is not included in the list; Users "nobody@x.com" not found',
    ]
    assert me.rows("cis", "Label", "Name", "Supplier") == [
        {"Label": "LAP1", "Name": "L 1", "Supplier": "Widget"},
        {"Name": "Office 1"},
    ]
    line = "R,{a},{b},network_connection"
    head = "Source,CI Label,Related CI Label,Relation Type"
    assert me.results("ci_relations", f"{head}\n{line.format(a='LAP1', b='Office 1')}\n") == {"created": 1}
    failed = me.load("ci_relations", f"{head}\n{line.format(a='L 1', b='Office 1')}\n")
    assert me.log(failed) == ['line 2: CI Label "L 1" not found']


def test_records_of_other_accounts_are_written_with_the_account(me: Client) -> None:
    """`value @account`, both ways; without it only the own account is searched."""
    me.running.seed(
        {
            "4me": {
                "accounts": {"wdc": {"name": "Data Center"}, "widget": {"name": "Widget", "directory": True}},
                "records": {"organizations @widget": [{"Name": "Widget"}]},
            }
        }
    )
    told = me.load("people", f"{HEAD},Organization\nHR,1,Ann,ann@x.com,Widget @widget\nHR,2,Bob,b@x.com,Widget\n")
    assert me.log(told) == ['line 3: Organization "Widget" not found']
    assert me.rows("people", "Organization") == [{"Organization": "Widget @widget"}]
    shown = me.get("/people", source="HR", fields="organization").json()[0]["organization"]
    assert shown["account"] == {"id": "widget", "name": "Widget"}


def test_kinds_are_checked_and_written_as_documented(me: Client, seed: Seed) -> None:
    """Booleans, time zones, decimals, languages; a bad value fails its row and no other."""
    seed(calendars=[{"Name": "Office", "Weekday": "mon", "From": "08:00", "Until": "24:00"}])
    told = me.load(
        "people",
        f"{HEAD},VIP,Cost Per Hour,Time Zone,Work Hours,Created At\n"
        "HR,1,Ann,ann@x.com,Yes,42.50,America/Chicago,Office,2001-01-01T00:00:00Z\n"
        "HR,2,Bob,bob@x.com,perhaps,a lot,Mars,Home,soon\n",
    )
    assert me.log(told) == [
        (
            "line 3: Cost Per Hour is not a number; Time Zone is not included in the list; "
            'Work Hours "Home" not found; Created At is not a valid timestamp'
        )
    ]
    assert me.rows("people", "VIP", "Cost Per Hour", "Time Zone") == [
        {"VIP": "true", "Cost Per Hour": "42.5", "Time Zone": "Central Time (US & Canada)"}
    ]
    assert not me.rows("people")[0]["Created At"].startswith("2001")


def test_unknown_headers_are_ignored_and_told_or_refused(me: Client) -> None:
    """By setting; the log says which."""
    told = me.load("people", f"{HEAD},Phone,name\nHR,1,Ann,ann@x.com,1,2\n")
    assert told["results"]["created"] == 1
    assert [line.split("'")[1] for line in me.log(told)] == ["Phone", "name"]
    me.running.settings(fourme__unknown_header="refused")
    told = me.load("people", f"{HEAD},Phone\nHR,2,Bob,bob@x.com,1\n")
    assert (told["state"], told["message"]) == ("error", "Unknown column 'Phone'")
    assert len(me.rows("people")) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le"])
@pytest.mark.parametrize("comma", [",", "\t"])
def test_both_encodings_and_delimiters_are_read(me: Client, encoding: str, comma: str) -> None:
    """UTF-16LE is known by its byte order mark."""
    text = f"{HEAD}\nHR,1,Zoë,zoe@x.com\n".replace(",", comma)
    content = ("\ufeff" if encoding == "utf-16-le" else "") + text
    assert me.results("people", content.encode(encoding)) == {"created": 1}
    assert me.rows("people", "Name") == [{"Name": "Zoë"}]


@pytest.mark.covers("JOB-15")
def test_bad_bytes_end_the_job_and_leave_what_came_before(me: Client) -> None:
    """Documented: state, message with the line, counters of the part that was done."""
    content = f"{HEAD}\nHR,1,Ann,ann@x.com\nHR,2,B".encode() + b"\xff\xfe" + b"b,bob@x.com\nHR,3,Cid,cid@x.com\n"
    told = me.load("people", content)
    assert (told["state"], told["message"]) == ("error", "Invalid byte sequence in UTF-8 on line 3")
    assert told["results"] == {"created": 1, "updated": 0, "deleted": 0, "unchanged": 0, "failures": 0, "errors": 1}


@pytest.mark.parametrize(
    ("content", "created", "message"),
    [
        (b'Name,Primary Email\nA,a@x.com\n"B\nb\xff",b@x.com\n', 1, "Invalid byte sequence in UTF-8 on line 4"),
        (b'Name,Primary Email\nA,a@x.com\n"B"b,b@x.com\n', 1, "Malformed CSV on line 3: ',' expected after '\"'"),
        (b'Name,Primary Email\nA,a@x.com\n"B,b@x.com\n', 1, "Malformed CSV on line 3: unexpected end of data"),
        (b"Name,Primary Email\r\nA,a@x.com\r\n\r\nB,b@x.com,more", 2, ""),
        (b"Name,Primary Email\n", 0, ""),
    ],
)
def test_files_that_are_no_csv_stop_at_their_line(me: Client, content: bytes, created: int, message: str) -> None:
    """What came before stays; blank lines and cells without a header are passed over."""
    told = me.load("people", content)
    assert (told.get("message", ""), told["results"]["created"]) == (message, created)
    assert told["state"] == ("error" if message else "done")


def test_a_group_that_is_longer_than_a_step_is_one_group(me: Client, seed: Seed) -> None:
    """A job is done in steps of some hundred rows; none of them ends inside a group."""
    seed(people=[{"Name": "Ann", "Primary Email": "ann@x.com"}, {"Name": "Bob", "Primary Email": "bob@x.com"}])
    head = "Person,Contact Protocol,Contact Label,Contact URI,Integration\n"
    rows = [f"{name}@x.com,telephone,work,{n},1\n" for name in ("ann", "bob") for n in range(450)]
    assert me.results("people_contact_details", head + "".join(rows)) == {"created": 900}
    assert me.results("people_contact_details", head + "".join(rows)) == {"created": 900, "deleted": 900}


def test_bad_calls_are_refused_with_the_field(me: Client) -> None:
    """No type, a type that does not exist, one of which no columns are known, no file, no role, no login."""

    def refused(answer: requests.Response) -> tuple[int, object]:
        return answer.status_code, answer.json().get("errors", answer.json()["message"])

    assert refused(me.upload("", "x")) == (422, [["type", "Type can't be blank"]])
    assert refused(me.upload("changes", "x")) == (422, [["type", "Type is not included in the list"]])
    assert refused(me.upload("service_offerings", "x"))[0] == 422
    assert refused(me.upload("people", "")) == (422, [["file", "File can't be blank"]])
    me.running.seed({"4me": {"tokens": {"t0": {"roles": ["specialist"]}, "t1": {"roles": ["account_administrator"]}}}})
    as_other = {"Authorization": "Bearer t0"}
    assert refused(me.upload("people", "x", headers=as_other)) == (403, "Forbidden")
    as_administrator = {"Authorization": "Bearer t1"}
    assert refused(me.upload("slas_charges", "x", headers=as_administrator)) == (403, "Forbidden")
    assert me.upload("slas_charges", "x", headers={}).status_code == 200
    assert refused(me.upload("people", "x", headers={"Authorization": "Bearer no"})) == (401, "Unauthorized")
    assert refused(me.upload("people", "x", headers={"X-Xurrent-Account": "else"})) == (403, "Forbidden")
    for name in ("X-4me-Account", "x-xurrent-account"):
        assert me.upload("people", f"{HEAD}\n", headers={name: me.account}).status_code == 200
