"""A sandbox pulled from an instance: plans against it say what plans against the instance say."""

from __future__ import annotations

from pathlib import Path

import requests

from syncengine.sandbox.process import attach
from tests.pull.conftest import Pulling


def test_a_plan_against_the_pulled_sandbox_is_the_plan_against_the_instance(pulling: Pulling) -> None:
    """Own classes, rules, choices, columns, maps and records: the same lines, sys_ids included."""
    pulling.run("sync", "specs/estate.yaml", "--env", "origin", "--yes")
    pulling.write(range(1, 6), os="Fedora")
    expected = pulling.planned("origin")
    pulling.pull("--records", "100", "--table", "sys_user")
    assert {one.get("action", "relate") for one in expected} >= {"create", "update", "relate"}
    assert pulling.planned("sandbox") == expected


def test_a_second_pull_changes_nothing(pulling: Pulling) -> None:
    """The same instance gives the same bytes; another record does not."""
    pulling.run("sync", "specs/estate.yaml", "--env", "origin", "--yes")
    first = pulling.pull()
    file = pulling.project.folder / "sandbox" / "pulled.yaml"
    content = file.read_bytes()
    assert first["changed"]
    assert not pulling.pull()["changed"]
    assert file.read_bytes() == content
    pulling.origin.seed({"records": {"cmn_location": [{"sys_id": "0" * 31 + "1", "name": "Oslo"}]}})
    assert pulling.pull()["changed"]


def test_a_pulled_sandbox_pulls_alike(pulling: Pulling, tmp_path: Path) -> None:
    """What a sandbox was filled with is what it tells."""
    pulling.run("sync", "specs/estate.yaml", "--env", "origin", "--yes")
    pulling.pull()
    copy = Pulling(tmp_path / "copy", pulling.origin)
    with attach(tmp_path / "other", seeds=[pulling.project.folder / "sandbox" / "pulled.yaml"]) as other:
        copy.origin = other
        copy.environment("origin", other.user)
        copy.pull()
    assert copy.pulled == pulling.pulled


def test_users_and_passwords_stay_where_they_are(pulling: Pulling) -> None:
    """Users come on demand only, and passwords never."""
    pulling.origin.seed({"columns": {"cmn_location": {"u_wlan": "password2", "u_code": "string"}}})
    place = {"sys_id": "0" * 31 + "1", "name": "Oslo", "u_wlan": "hush-hush", "u_code": "OSL"}
    pulling.origin.seed({"records": {"cmn_location": [place]}})
    pulling.pull()
    assert "sys_user" not in pulling.pulled["records"]
    assert "sys_user" in pulling.pulled["tables"]
    pulling.origin.seed({"columns": {"cmn_location": {"u_password": "string"}}})
    pulling.origin.seed({"records": {"cmn_location": [{**place, "u_password": "hush-hush"}]}})
    pulling.pull(env="nobody", password="secret")
    text = (pulling.project.folder / "sandbox" / "pulled.yaml").read_text()
    assert "OSL" in text
    assert "u_password" not in text
    pulling.pull("--table", "sys_user")
    text = (pulling.project.folder / "sandbox" / "pulled.yaml").read_text()
    assert [user["user_name"] for user in pulling.pulled["records"]["sys_user"]] == ["ann"]
    assert "OSL" in text
    assert "hush-hush" not in text


def test_that_a_script_runs_is_pulled_and_what_it_says_is_not(pulling: Pulling) -> None:
    """A script may hold anything; a plan needs only to know that it decides."""
    found = _rows(pulling, "sys_transform_map", "source_table=u_contract_import")
    script = {"map": found[0]["sys_id"], "when": "onBefore", "script": "var key = 'hush-hush';", "active": "true"}
    pulling.origin.seed({"records": {"sys_transform_script": [script]}})
    expected = pulling.planned("origin")
    pulling.pull("--table", "sys_user")
    text = (pulling.project.folder / "sandbox" / "pulled.yaml").read_text()
    assert "hush-hush" not in text
    made = pulling.pulled["staging"]["u_contract_import"]["maps"][0]
    assert made["scripts"] == [{"when": "onBefore", "order": 100, "do": "nothing"}]
    assert pulling.planned("sandbox") == expected


def test_without_any_role_it_says_what_is_missing(pulling: Pulling) -> None:
    """Nothing crashes, everything that could not be read is named with what to ask for, and the file can be loaded."""
    said = pulling.pull(env="nobody", password="secret")
    missing = {one["what"]: one for one in said["missing"]}
    assert {"the class tree", "columns", "identification rules", "properties of the engine"} <= set(missing)
    assert any("u_contract_import" in what for what in missing)
    assert "import_transformer" in next(one["fix"] for what, one in missing.items() if "u_contract_import" in what)
    assert all(one["fix"] for one in said["missing"])
    assert not any(what.startswith("properties of the engine, ") for what in missing)
    human = pulling.run("sandbox", "pull", "--env", "nobody", password="secret")
    assert "not read; the sandbox keeps what it ships with:" in human
    assert "import_transformer" in human
    pulling.run("sandbox", "settings")


def test_with_itil_alone_classes_and_rules_come_from_the_meta_api(pulling: Pulling) -> None:
    """The Meta API needs no more than itil: a plan of CIs against the sandbox is that against the instance."""
    pulling.run("sync", "specs/estate.yaml", "--env", "origin", "--yes")
    pulling.write(range(1, 6), os="Fedora")
    (pulling.project.folder / "specs" / "contracts.yaml").unlink()
    expected = pulling.planned("origin")
    said = pulling.pull("--records", "100", env="reader", password="secret")
    assert {"the class tree", "columns", "identification rules"} <= {one["what"] for one in said["missing"]}
    rule = next(rule for rule in pulling.pulled["rules"] if rule["applies_to"] == "u_rack")
    assert rule["entries"] == [{"order": 10, "attributes": ["u_site", "name"]}]
    assert pulling.planned("sandbox") == expected


def test_what_cannot_be_pulled_is_told_before_anything_is_asked(pulling: Pulling) -> None:
    """Wrong calls are usage errors."""
    assert "--env" in pulling.fails("sandbox", "pull")
    assert "cannot be pulled from" in pulling.fails("sandbox", "pull", "--env", "sandbox")
    assert "no table name" in pulling.fails("sandbox", "pull", "--env", "origin", "--table", "cmdb-ci")
    assert "ORDERBY" in pulling.fails("sandbox", "pull", "--env", "origin", "--table", "cmdb_ci:ORDERBYname")
    for spec in (pulling.project.folder / "specs").glob("*.yaml"):
        spec.unlink()
    assert "no --table" in pulling.fails("sandbox", "pull", "--env", "origin")


def test_a_query_chooses_the_records_and_a_table_that_is_not_there_is_named(pulling: Pulling) -> None:
    """`--table TABLE:QUERY`."""
    said = pulling.pull("--table", "cmn_location:name=Rome", "--table", "u_nowhere")
    assert said["unknown"] == ["u_nowhere"]
    assert [one["name"] for one in pulling.pulled["records"]["cmn_location"]] == ["Rome"]


def test_an_instance_that_stumbles_is_read_all_the_same(pulling: Pulling) -> None:
    """The product's own reader: what other reads survive, this one does."""
    pulling.pull()
    expected = pulling.pulled
    pulling.origin.faults(
        "api=table_read, every=9, times=2, do=status(503), retry_after=1", "api=table_read, at=7, do=reset"
    )
    pulling.pull()
    assert pulling.pulled == expected
    assert pulling.origin.met()


def test_the_host_of_a_record_comes_along_with_what_holds_it_there(pulling: Pulling) -> None:
    """A dependent CI can be found on its host only, whatever the sample says."""
    pulling.run("sync", "specs/estate.yaml", "--env", "origin", "--yes")
    for spec in (pulling.project.folder / "specs").glob("*.yaml"):
        spec.unlink()
    pulling.pull("--table", "u_shelf:name=shelf2", "--records", "1")
    records = pulling.pulled["records"]
    assert [one["name"] for one in records["u_shelf"]] == ["shelf2"]
    assert [one["name"] for one in records["u_rack"]] == ["rack2"]
    assert [(one["parent"], one["child"]) for one in records["cmdb_rel_ci"]] == [
        (records["u_rack"][0]["sys_id"], records["u_shelf"][0]["sys_id"])
    ]
    assert {one["id"] for one in records["sys_object_source"]} == {"rack2", "rack2|2"}
    pulling.pull("--table", "u_shelf", "--records", "0")
    assert "u_shelf" not in pulling.pulled["records"]
    assert "u_shelf" in pulling.pulled["tables"]


def test_a_spec_that_is_wrong_is_told(pulling: Pulling) -> None:
    """The others are pulled for."""
    (pulling.project.folder / "specs" / "contracts.yaml").write_text("syncengine: 1\nsteps: 7\n")
    _, out, err = pulling.call("sandbox", "pull", "--env", "origin")
    assert "problems in the specs" in err
    assert "sandbox/pulled.yaml: written" in out


def _rows(pulling: Pulling, table: str, query: str) -> list[dict[str, str]]:
    origin = pulling.origin
    answer = requests.get(
        f"{origin.url}/api/now/table/{table}",
        params={"sysparm_query": query},
        auth=(origin.user, origin.password),
        headers={"Accept": "application/json"},
        timeout=20,
    )
    found: list[dict[str, str]] = answer.json()["result"]
    return found
