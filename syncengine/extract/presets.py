"""What may be extracted by name: tables with the columns that reports ask for. Any other name is a table itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from syncengine.errors import Problem, SpecError
from syncengine.sources.servicenow import Aggregate
from syncengine.sources.servicenow import Options as TableOptions
from syncengine.spec.atoms import TABLE

_TASK = (
    "number",
    "short_description",
    "state",
    "priority",
    "urgency",
    "impact",
    "active",
    "assigned_to",
    "assigned_to.name",
    "assignment_group",
    "assignment_group.name",
    "opened_by",
    "opened_at",
    "closed_at",
    "cmdb_ci",
    "cmdb_ci.name",
    "company",
    "location",
    "close_code",
    "sys_created_on",
    "sys_updated_on",
)
_USER = (
    "user_name",
    "name",
    "first_name",
    "last_name",
    "email",
    "title",
    "active",
    "manager",
    "department",
    "department.name",
    "location",
    "location.name",
    "company",
    "company.name",
    "employee_number",
    "phone",
    "sys_created_on",
    "sys_updated_on",
)
_FILE = ("file_name", "content_type", "size_bytes", "table_name", "table_sys_id", "sys_created_on", "sys_updated_on")
PRESETS: Mapping[str, TableOptions] = {
    "incidents": TableOptions(
        "incident", fields=(*_TASK, "caller_id", "caller_id.name", "category", "subcategory", "severity")
    ),
    "users": TableOptions("sys_user", fields=_USER),
    "change_requests": TableOptions(
        "change_request",
        fields=(*_TASK, "type", "risk", "phase", "requested_by", "start_date", "end_date", "approval"),
    ),
    "attachments": TableOptions("sys_attachment", fields=_FILE),
    "aggregates": TableOptions("incident", aggregate=Aggregate(("state", "priority", "category"))),
}


def wanted(names: Sequence[str], configured: Mapping[str, TableOptions]) -> dict[str, TableOptions]:
    """What the names mean: a table of the project file, a preset, or a table of the instance.

    Without names all of the project file. Raises SpecError where there is none.
    """
    if not names and not configured:
        fix = f"syncengine extract incidents   (presets: {', '.join(PRESETS)}; or the name of a table)"
        said = "nothing says what to extract: no name, and no extract: tables: in syncengine.yaml"
        raise SpecError(Problem("nothing-to-extract", said, "syncengine extract", fix=fix))
    return {name: configured.get(name) or PRESETS.get(name) or _table(name) for name in names or configured}


def _table(name: str) -> TableOptions:
    if re.fullmatch(TABLE, name) is None:
        said = f"{name[:80]} cannot be the name of a table"
        raise SpecError(Problem("bad-name", said, "syncengine extract", fix=f"presets: {', '.join(PRESETS)}"))
    return TableOptions(name)
