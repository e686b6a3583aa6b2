"""Exports: columns, quotas, what changed since, and forms that differ from what was sent."""

from __future__ import annotations

import io
import zipfile

import requests

from tests.sandbox.fourme.conftest import Client, Seed

ANN = {"Name": "Ann", "Primary Email": "ann@x.com", "Source": "HR", "Source ID": "1"}


def test_an_export_has_the_columns_of_the_import(me: Client, seed: Seed) -> None:
    """A golden answer, and the same with the line ends asked for."""
    seed(sites=[{"Name": "Paris", "Source": "HR", "Source ID": "s-1", "City": "Paris", "Remarks": "- old\n- cold"}])
    number = me.get("/sites").json()[0]["id"]
    header = (
        "ID,Source,Source ID,Disabled,Name,Address,City,State,Zip,Country,Time Zone,Remarks,UI Extension,Custom Fields"
    )
    row = f'{number},HR,s-1,false,Paris,,Paris,,,,,"\t- old\n- cold",,'
    assert me.exported("sites") == f"{header}\n{row}\n"
    assert me.exported("sites", line_separator="crlf") == f"{header}\r\n{row}\r\n"
    assert me.ask_export("flsas").status_code == 200
    assert me.ask_export("first_line_support_agreements").status_code == 422


def test_several_types_come_in_one_archive(me: Client, seed: Seed) -> None:
    """One file a type, its name holds the type; asked for with JSON, as public clients do."""
    seed(people=[ANN], sites=[{"Name": "Paris"}])
    body = {"type": "people,sites", "export_format": "csv"}
    answer = me.session.post(f"{me.running.url}/v1/export", json=body, timeout=10)
    told = me.job(answer.json()["token"], "export")
    archive = zipfile.ZipFile(io.BytesIO(requests.get(told["url"], timeout=10).content))
    assert archive.namelist() == ["1-people.csv", "2-sites.csv"]
    assert b"Paris" in archive.read("2-sites.csv")


def test_since_a_time_only_new_and_changed_records_are_exported(me: Client, seed: Seed) -> None:
    """204 where there is none; more than two months back is refused."""
    seed(people=[ANN])
    me.running.advance(3600)
    at = me.running.advance(0).replace(" ", "T") + "Z"
    assert me.ask_export("people", **{"from": at}).status_code == 204
    me.running.advance(60)
    me.load("people", "Primary Email,Name\nbob@x.com,Bob\n")
    assert [row["Name"] for row in me.rows("people", **{"from": at})] == ["Bob"]
    me.running.advance(60)
    me.load("people", "Primary Email,Job Title\nann@x.com,Clerk\n")
    assert [row["Name"] for row in me.rows("people", **{"from": at})] == ["Ann", "Bob"]
    assert me.ask_export("people", **{"from": "20200101"}).status_code == 422
    assert me.ask_export("people", **{"from": "yesterday"}).status_code == 422


def test_a_big_type_is_exported_in_full_once_a_day(me: Client, seed: Seed) -> None:
    """Another type, and exports since a time, are free; the next day it is again."""
    me.running.settings(fourme__big_type=2)
    seed(people=[ANN, {"Name": "Bob", "Primary Email": "bob@x.com"}])
    start = me.running.advance(0).replace(" ", "T") + "Z"
    assert len(me.rows("people")) == 2
    token = me.ask_export("people").json()["token"]
    assert me.job(token, "export") == {"state": "failed", "rate_limit_exceeded": "people"}
    assert me.rows("sites") == []
    me.load("people", "Primary Email,Name\ncid@x.com,Cid\n")
    assert "Cid" in [row["Name"] for row in me.rows("people", **{"from": start})]
    me.running.advance(86_400)
    assert len(me.rows("people")) == 3


def test_columns_move_and_appear_by_setting(me: Client, seed: Seed) -> None:
    """Documented: their order may change, new ones may come; the other forms are settings, too."""
    seed(people=[{**ANN, "VIP": True}])
    plain = me.rows("people")[0]
    me.running.settings(
        fourme__export_columns="shuffled",
        fourme__export_new_column=True,
        fourme__export_boolean="1",
        fourme__export_zone="+02:00",
    )
    moved = me.rows("people")[0]
    assert list(moved) == [*list(plain)[::-1], "Sandbox Note"]
    assert (plain["VIP"], moved["VIP"]) == ("true", "1")
    assert moved["Created At"].endswith("+02:00")


def test_an_export_is_forgotten_and_its_link_ends(me: Client, seed: Seed) -> None:
    """Five minutes for the job, two days for the link."""
    seed(people=[ANN])
    token = me.ask_export("people").json()["token"]
    told = me.job(token, "export")
    assert requests.get(told["url"], timeout=10).status_code == 200
    me.running.advance(301)
    assert me.get(f"/export/{token}").status_code == 404
    assert requests.get(told["url"], timeout=10).status_code == 200
    me.running.advance(172_800)
    assert requests.get(told["url"], timeout=10).status_code == 403
