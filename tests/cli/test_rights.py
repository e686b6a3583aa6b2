"""A login whose rights are less than the plan needs."""

from __future__ import annotations

import pytest

from syncengine.errors import Exit
from tests.inside import Inside

USER = {"limited": {"password": "secret", "roles": ["itil"]}}


def test_a_plan_is_refused_where_what_is_ours_is_hidden(inside: Inside) -> None:
    """Everything would be adopted anew, with no guard in percent; the doctor says the same."""
    inside.estate(20)
    inside.plan().ends()
    inside.apply().ends()
    rule = {"table": "sys_object_source", "roles": ["chief"]}
    inside.sandbox.seed({"users": USER, "access": [rule]}, force=True)
    inside.log_in("limited", "secret")
    told = inside.plan().ends(Exit.AUTH)
    assert "20 records of ours are there and hidden from this user" in told.err
    assert "ask the admin for read access to sys_object_source" in told.err


OWNED_BY = """\
syncengine: 1
data_source: ImportSet
source: {inline: [{serial: S1, mail: ann@x.org}]}
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: serial
    fields:
      serial_number: serial
      owned_by: FIND
"""


@pytest.mark.parametrize(
    ("find", "code", "said"),
    [
        ("{find_in: sys_users, where: {email: mail}}", "unknown-table", "did you mean sys_user?"),
        ("{find_in: sys_user, where: {e_mail: mail}}", "unknown-column", "did you mean email?"),
        ("{find_in: sys_user, where: {email: mail}, take: sysid}", "unknown-column", "did you mean sys_id?"),
    ],
)
def test_a_table_or_column_that_a_spec_looks_in_and_the_instance_lacks_is_told_with_its_line(
    inside: Inside, find: str, code: str, said: str
) -> None:
    """The instance ignores an unknown column without a word: it is not taken for a value that no record has."""
    inside.sandbox.seed({"records": {"sys_user": [{"user_name": "ann", "email": "ann@x.org"}]}}, force=True)
    inside.spec(OWNED_BY.replace("FIND", find))
    told = inside.plan().ends(Exit.SPEC)
    assert f"error[{code}]" in told.err
    assert said in told.err
    assert "specs/estate.yaml:10:" in told.err


def test_a_column_that_is_hidden_is_not_taken_for_a_value_that_no_record_has(inside: Inside) -> None:
    rule = {"table": "sys_user", "columns": ["email"], "roles": ["chief"]}
    people = [{"user_name": "ann", "email": "ann@x.org"}]
    inside.sandbox.seed({"users": USER, "access": [rule], "records": {"sys_user": people}}, force=True)
    inside.spec(OWNED_BY.replace("FIND", "{find_in: sys_user, where: {email: mail}}"))
    inside.log_in("limited", "secret")
    assert "find_in: sys_user shows no column email to this user" in inside.plan().ends(Exit.AUTH).err


def test_several_records_that_fit_are_told_as_such(inside: Inside) -> None:
    """Making one more is no advice then."""
    people = [{"user_name": name, "email": "ann@x.org"} for name in ("ann", "ann2")]
    inside.sandbox.seed({"records": {"sys_user": people}}, force=True)
    inside.spec(OWNED_BY.replace("FIND", "{find_in: sys_user, where: {email: mail}}"))
    told = inside.plan().ends().out
    assert "several-found: owned_by: 2 records: sys_user where email is 'ann@x.org'" in " ".join(told.split())
    assert "tell them apart with one more column under where:" in " ".join(told.split())


def test_a_field_that_names_a_record_is_one_that_the_class_has(inside: Inside) -> None:
    inside.spec(OWNED_BY.replace("owned_by", "owned_buy").replace("FIND", "{find_in: sys_user, where: {email: mail}}"))
    assert 'did you mean "owned_by"?' in inside.plan().ends(Exit.SPEC).err


def test_a_scope_that_an_oauth_client_lacks_is_named_as_that(inside: Inside) -> None:
    """User and secret are right: what to ask for is said."""
    client = {"secret": "s3cret", "user": inside.sandbox.user, "scopes": ["table:GET"]}
    inside.sandbox.seed({"clients": {"narrow": client}}, force=True)
    inside.estate(1)
    said = (inside.folder / "environments" / "dev.yaml").read_text()
    login = f"user: {inside.sandbox.user}, password: {{env: INSIDE_PASSWORD}}"
    assert login in said
    inside.write(
        "environments/dev.yaml", said.replace(login, "client_id: {env: CLIENT}, client_secret: {env: CLIENT_SECRET}")
    )
    inside.monkeypatch.setenv("CLIENT", "narrow")
    inside.monkeypatch.setenv("CLIENT_SECRET", "s3cret")
    told = inside.plan().ends(Exit.AUTH).err
    assert "The client is securely scoped and cannot access" in told
    assert "fix: the OAuth client needs an auth scope for this API and GET" in told


def test_where_only_reviewed_plans_are_applied_retry_is_no_advice(inside: Inside) -> None:
    inside.dial(inside.sandbox.url, more="protect: {apply_needs_plan: true}\n")
    inside.estate(2)
    inside.write("specs/servers.csv", "serial,name,os\nS1,same,x\nS2,same,x\nS3,other,x\n")
    inside.plan().ends()
    told = inside.apply().ends(Exit.PARTIAL).err
    assert "syncengine plan --again" in told
    assert "syncengine retry" not in told
