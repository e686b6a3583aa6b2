"""An instance that differs from what a sandbox ships with, and a project whose sandbox is to become like it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from syncengine.errors import Exit
from syncengine.sandbox.process import Running, attach
from tests.project import Project
from tests.sandboxed import Shared

ORIGIN = """
choices:
  cmdb_ci.discovery_source: [Estate]
  cmdb_ci_server.environment: {prd: Productive, tst: For tests}
tables:
  u_rack: {label: Rack, parent: cmdb_ci, columns: {u_site: [string, Site, 30], u_row: string}}
  u_shelf: {label: Shelf, parent: cmdb_ci, columns: {u_position: integer}}
  u_contract: {label: Contract, display: u_number, columns: {u_number: [string, Number, 20], u_owner: "reference:sys_user"}}
columns:
  cmdb_ci_server: {u_team: [string, Team, 60], u_location: "reference:cmn_location", environment: string}
rules:
  - {name: Racks by site, applies_to: u_rack, independent: true, entries: [{order: 10, attributes: [u_site, name]}]}
  - {name: Shelves, applies_to: u_shelf, independent: false, entries: [{order: 10, attributes: [u_position]}]}
  - name: Servers by team
    applies_to: cmdb_ci_server
    independent: true
    entries:
      - {order: 5, attributes: [u_team, name]}
      - {order: 6, attributes: [serial_number, serial_number_type], table: cmdb_serial_number, field: cmdb_ci, condition: "valid=true"}
relation_types: ["Feeds::Fed by"]
containment: [{parent: u_rack, type: "Contains::Contained by", child: u_shelf}]
properties: {glide.class.switch.enabled: "false"}
staging:
  u_contract_import:
    label: Contract import
    columns: {u_no: [string, Number, 40], u_who: string, u_note: [string, Note, 100]}
    insert_multiple: {keys: names}
    maps:
      - name: Contracts
        target: u_contract
        fields:
          u_number: {source: u_no, coalesce: true}
          u_owner: {source: u_who, choice_action: ignore, reference_value_field: user_name}
  u_scripted_import:
    columns: {u_no: string}
    maps:
      - {name: Scripted, target: u_contract, fields: {u_number: u_no}, scripts: [{if: u_no=x, do: ignore}]}
records:
  cmn_location: [{sys_id: 25ab9c4d0a0a0bb300f7dabdc0ca7c1c, name: Paris}, {sys_id: 35ab9c4d0a0a0bb300f7dabdc0ca7c1c, name: Rome}]
  sys_user: [{sys_id: 45ab9c4d0a0a0bb300f7dabdc0ca7c1c, user_name: ann, name: Ann Lee, email: ann@example.com}]
  u_contract: [{sys_id: 55ab9c4d0a0a0bb300f7dabdc0ca7c1c, u_number: C1}]
  cmdb_reconciliation_definition:
    - {sys_id: 65ab9c4d0a0a0bb300f7dabdc0ca7c1c, applies_to: cmdb_ci_server, discovery_source: ServiceNow, attributes: environment, priority: "10"}
users:
  nobody: {password: secret, roles: []}
  reader: {password: secret, roles: [itil]}
access:
  - {table: sys_db_object, roles: [admin]}
  - {table: sys_dictionary, roles: [admin]}
  - {table: cmdb_identifier, roles: [admin]}
  - {table: sys_properties, roles: [admin]}
"""  # noqa: E501
SPEC = """\
syncengine: 1
data_source: Estate
sources:
  racks: racks.csv
  shelves: shelves.csv
  servers: servers.csv
  feeds: feeds.csv
steps:
  racks:
    source: racks
    cmdb: u_rack
    key: name
    fields: {name: name, u_site: site}
  shelves:
    source: shelves
    cmdb: u_shelf
    key: [rack, position]
    fields: {name: name, u_position: position}
    relations:
      - {type: "Contains::Contained by", parent: {step: racks, key: rack}}
  servers:
    source: servers
    cmdb: cmdb_ci_linux_server
    key: name
    fields:
      name: name
      u_team: team
      os: os
      environment: environment
      u_location: {find_in: cmn_location, where: {name: place}, if_missing: omit}
    lookup:
      - {class: cmdb_serial_number, fields: {serial_number: serial, serial_number_type: {const: uuid}, valid: {const: "true"}}}
  feeds:
    source: feeds
    relation: Feeds::Fed by
    parent: {step: racks, key: rack}
    child: {step: servers, key: name}
"""  # noqa: E501
STAGING = """\
syncengine: 1
sources: {contracts: contracts.csv}
steps:
  contracts:
    source: contracts
    staging: u_contract_import
    fields: {u_no: no, u_who: who}
  scripted:
    source: contracts
    staging: u_scripted_import
    fields: {u_no: no}
"""
ENVIRONMENT = """\
syncengine: 1
kind: environment
connections:
  servicenow:
    kind: servicenow
    url: {url}
    settle: 1s
    auth: {{user: {user}, password: {{env: ORIGIN_PASSWORD}}}}
"""


class Pulling:
    """A project between an instance and its own sandbox."""

    def __init__(self, folder: Path, origin: Running) -> None:
        self.origin = origin
        self.project = Project(folder)
        (folder / "specs" / "estate.yaml").write_text(SPEC)
        (folder / "specs" / "contracts.yaml").write_text(STAGING)
        self.write(range(4))
        (folder / "environments").mkdir()
        for user in (origin.user, "nobody", "reader"):
            self.environment(user if user != origin.user else "origin", user)

    def environment(self, name: str, user: str) -> None:
        """An environment for a user of the instance."""
        said = ENVIRONMENT.format(url=self.origin.url, user=user)
        (self.project.folder / "environments" / f"{name}.yaml").write_text(said)

    def write(self, numbers: range, os: str = "Debian") -> None:
        """The sources of the specs."""
        project = self.project
        project.source("racks", "name,site", *(f"rack{n},site{n % 2}" for n in numbers))
        project.source("shelves", "rack,position,name", *(f"rack{n},{n % 3},shelf{n}" for n in numbers))
        use = "prd" if os == "Debian" else "tst"
        rows = (f"srv{n},team{n % 2},{os},{use},{('Paris', 'Rome')[n % 2]},SN{n}" for n in numbers)
        project.source("servers", "name,team,os,environment,place,serial", *rows)
        project.source("feeds", "rack,name", *(f"rack{n},srv{n}" for n in numbers))
        project.source("contracts", "no,who", *(f"C{n},{('ann', 'bob')[n % 2]}" for n in numbers))

    def call(self, *arguments: str | Path, password: str = "") -> tuple[int, str, str]:
        """A command in this process, with the password of the instance: how it ends and what it says."""
        env = {"ORIGIN_PASSWORD": password or self.origin.password}
        said = self.project.run(*arguments, env=env)
        return said.code, said.out, said.err

    def run(self, *arguments: str | Path, password: str = "") -> str:
        """What a command says that ends well."""
        ends, out, err = self.call(*arguments, password=password)
        assert ends == 0, out + err
        return out

    def fails(self, *arguments: str | Path) -> str:
        """What a command complains of that is called wrongly."""
        ends, out, err = self.call(*arguments)
        assert ends == Exit.SPEC, out + err
        return err

    def pull(self, *arguments: str | Path, env: str = "origin", password: str = "") -> dict[str, Any]:
        """What a pull says of itself."""
        said = self.run("sandbox", "pull", "--env", env, "--format", "json", *arguments, password=password)
        found: dict[str, Any] = orjson.loads(said)
        return found

    @property
    def pulled(self) -> dict[str, Any]:
        """The seed that was written."""
        found: dict[str, Any] = yaml.safe_load((self.project.folder / "sandbox" / "pulled.yaml").read_text())
        return found

    def planned(self, env: str) -> list[dict[str, Any]]:
        """The operations of a plan against an environment."""
        lines = self.run("plan", "--env", env, "--all", "--format", "json").splitlines()
        said = [orjson.loads(line) for line in lines]
        return [line["operation"] for line in said if line["kind"] == "operation"]


@pytest.fixture(scope="package")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A sandbox that plays the instance."""
    with attach(tmp_path_factory.mktemp("origin"), seeds=[]) as running:
        yield running


@pytest.fixture
def pulling(origin: Running, shared: Shared, tmp_path: Path) -> Pulling:
    """A project, and the instance as it was at first."""
    origin.clear_faults()
    origin.reset()
    origin.seed(ORIGIN, force=True)
    shared.lend(tmp_path)
    return Pulling(tmp_path, origin)
