"""Rows to records, and checks of rows: what a row costs beside the usual ways."""

from __future__ import annotations

import tempfile
from pathlib import Path

import jsonschema
from jinja2.sandbox import SandboxedEnvironment
from msgspec.structs import replace

from benchmarks.measure import Row, cpu_of
from syncengine.changes import Row as SourceRow
from syncengine.errors import Place
from syncengine.mapping import Mapper, Recipe
from syncengine.spec import Spec, find_project, load_specs

ROWS = 5_000
FIELDS = {
    "name": "{{ name | lower }}",
    "serial_number": "{{ serial }}",
    "os": "{{ os }} {{ os_version }}",
    "ip_address": "{{ ip | trim }}",
    "ram": "{{ ram_gb | int * 1024 }}",
    "cpu_count": "{{ cpus }}",
    "environment": "{{ environment | title }}",
    "operational_status": "{{ '1' if state == 'live' else '3' }}",
    "virtual": "{{ 'true' if virtual == 'yes' else 'false' }}",
    "short_description": "{{ name }} in {{ site | upper }}",
}
SPEC = """\
syncengine: 1
data_source: Other Automated
source:
  file: rows.csv
  columns:
    serial: {required: true, matches: "[A-Z0-9-]{8,20}", max_length: 20}
    name: {required: true, max_length: 100}
    ip: {required: true, matches: "[0-9.]{7,15}"}
    state: {required: true, one_of: [live, repair, spare]}
    virtual: {one_of: ["yes", "no"]}
    os: {required: true, max_length: 60}
steps:
  servers:
    cmdb: cmdb_ci_linux_server
    key: serial
    fields:
"""
SCHEMA = {
    "type": "object",
    "required": ["serial", "name", "ip", "state", "os"],
    "properties": {
        "serial": {"type": "string", "pattern": "^[A-Z0-9-]{8,20}$", "maxLength": 20},
        "name": {"type": "string", "minLength": 1, "maxLength": 100},
        "ip": {"type": "string", "pattern": "^[0-9.]{7,15}$"},
        "state": {"enum": ["live", "repair", "spare"]},
        "virtual": {"enum": ["yes", "no"]},
        "os": {"type": "string", "minLength": 1, "maxLength": 60},
    },
}


def rows() -> list[dict[str, str]]:
    """Rows as CSV gives them."""
    return [
        {
            "serial": f"CZJ{number:08X}",
            "name": f"PAR-LNX-{number:05d}",
            "os": "Debian GNU/Linux",
            "os_version": "12",
            "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "ram_gb": str(8 << number % 6),
            "cpus": str(2 << number % 4),
            "environment": "production",
            "state": ("live", "repair", "spare")[number % 3],
            "virtual": ("yes", "no")[number % 2],
            "site": "Paris",
        }
        for number in range(ROWS)
    ]


def spec_of(values: dict[str, str]) -> Spec:
    """The spec, read as the command line reads it."""
    with tempfile.TemporaryDirectory(prefix="syncengine-bench-") as place:
        folder = Path(place)
        (folder / "rows.csv").write_text(f"{','.join(values)}\n{','.join(values.values())}\n", "utf-8")
        fields = "".join(f'      {name}: "{template}"\n' for name, template in FIELDS.items())
        (folder / "rows.yaml").write_text(SPEC + fields, "utf-8")
        return load_specs(find_project(folder), [folder / "rows.yaml"])[0]


def measured() -> list[Row]:
    """Mapping beside one render per field, checks beside jsonschema."""
    values = rows()
    spec = spec_of(values[0])
    source = [SourceRow(row, Place("rows.csv", number, number + 1)) for number, row in enumerate(values, 1)]
    recipe = spec.steps["servers"].recipe

    environment = SandboxedEnvironment()
    templates = {name: environment.from_string(template) for name, template in FIELDS.items()}
    rendered = cpu_of(lambda: [{name: one.render(row) for name, one in templates.items()} for row in values])

    bare = replace(recipe, rules=replace(recipe.rules, columns=()))

    def mapped(what: Recipe, *, python: bool = True) -> float:
        return cpu_of(lambda: sum(1 for _ in Mapper(what, run_date="2026-01-01", python=python).records(source)))

    compiled, batched = mapped(bare), mapped(bare, python=False)

    validator = jsonschema.Draft202012Validator(SCHEMA)
    validated = cpu_of(lambda: [list(validator.iter_errors(row)) for row in values])
    checked = mapped(recipe) - compiled

    def line(what: str, ours: float, theirs: float, target: int) -> Row:
        ratio = theirs / ours
        value = f"{ours / ROWS * 1e6:.1f} µs a row, {ratio:.0f} × as fast"
        return Row(what, value, f"≥ {target} ×", ratio >= target)

    return [
        Row("one Jinja2 render per field, 10 fields", f"{rendered / ROWS * 1e6:.1f} µs a row"),
        line("mapping, 10 compiled expressions", compiled, rendered, 60),
        line("mapping, 10 expressions in one Jinja2 loop", batched, rendered, 25),
        Row("jsonschema, all errors, 6 columns", f"{validated / ROWS * 1e6:.1f} µs a row"),
        line("checks, all faults, 6 columns", checked, validated, 50),
    ]
