"""Steps that are read and checked, and that no version can plan yet: staging tables, attachments, imports of 4me."""

from __future__ import annotations

from syncengine.spec.atoms import FIELD, NAME, TABLE, TABLE_MUST, is_template, reader
from syncengine.spec.fields import FieldsShape
from syncengine.spec.items import FIELDS
from syncengine.spec.nodes import Node, Scalar
from syncengine.spec.references import REFERENCE, VALUE
from syncengine.spec.shapes import (
    AnyKey,
    Choice,
    Either,
    Fields,
    Key,
    MapOf,
    Mapped,
    Report,
    Schema,
    Shape,
    Text,
    Wrong,
)
from syncengine.spec.wording import near

# fmt: off
WITH_SOURCE_ID = (
    "agile_boards", "calendars", "cis", "closure_codes", "contracts", "custom_collection_elements",
    "custom_collections", "custom_views", "effort_classes", "first_line_support_agreements",
    "generic_request_automation_rules", "holidays", "invoices", "knowledge_articles", "organizations",
    "out_of_office_periods", "pdf_designs", "people", "problems", "product_backlogs", "product_categories", "products",
    "project_categories", "project_risk_levels", "project_task_templates", "project_tasks", "project_templates",
    "projects", "releases", "request_template_automation_rules", "request_templates", "requests",
    "reservation_offerings", "reservations", "rfc_types", "risk_severities", "risks", "scrum_workspaces",
    "service_categories", "service_instances", "service_offerings", "services", "shop_article_categories",
    "shop_articles", "shop_order_lines", "short_urls", "sites", "skill_pools", "sla_coverage_groups",
    "sla_notification_schemes", "slas", "slas_activities", "sprints", "survey_answers", "survey_questions",
    "survey_responses", "surveys", "task_template_automation_rules", "task_templates", "tasks", "teams",
    "time_allocations", "time_entries", "timesheet_settings", "waiting_for_customer_follow_ups",
    "workflow_template_automation_rules", "workflow_templates", "workflow_types", "workflows",
)
"""Import types whose records carry Source and Source ID: their steps need a key."""
WITHOUT_SOURCE_ID = (
    "agile_board_columns", "app_offering_automation_rules", "ci_relations", "email_templates", "notes",
    "organizations_contact_details", "organizations_time_allocations", "people_contact_details", "people_roles",
    "product_backlog_items", "project_task_assignments", "project_task_template_assignments",
    "service_offering_activity_rates", "service_offering_effort_class_rates",
    "service_offering_rfc_type_activity_rates", "service_offering_ssr_rates", "sla_notification_rules",
    "slas_charges", "slas_financial_details", "slas_financial_details_rfc_type_activities", "sprint_backlog_items",
    "standard_service_requests", "task_approvals", "task_template_approvals", "trusted_organizations",
    "ui_extensions", "waiting_for_customer_rules",
)
# fmt: on


class Headers(FieldsShape):
    """Fields of a 4me import: the headers of its CSV, as documented."""

    pattern = r"[A-Za-z][A-Za-z0-9 ._-]{0,79}"

    def _name(self, node: Node, report: Report) -> str:
        return Text("a header such as Primary Email", self.pattern, must="letters, digits and spaces").read(
            node, report
        )

    def schema(self, named: dict[str, Schema]) -> Schema:
        name: Schema = {"pattern": f"^{self.pattern}$"}
        return {
            "if": {"type": "array"},
            "then": {"items": {"type": "string", **name}, "minItems": 1},
            "else": {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": VALUE.schema(named),
                "minProperties": 1,
            },
        }


class ImportType(Shape[str]):
    """The name of an import type of 4me."""

    says = "an import type such as people"

    def read(self, node: Node, report: Report) -> str:
        if not isinstance(node, Scalar) or node.kind == "null":
            raise self.expected(node, report)
        known = (*WITH_SOURCE_ID, *WITHOUT_SOURCE_ID)
        if node.text not in known:
            fix = near(node.text, known) or "Such as organizations, sites, people, teams, products, cis, ci_relations."
            raise report.stop(
                "unknown-type", f'4me has no import type "{node.text[:60]}"', node.position, fix, node.text
            )
        return node.text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"enum": sorted((*WITH_SOURCE_ID, *WITHOUT_SOURCE_ID))}


class FileTemplate(Shape[str]):
    """A path or glob beside the spec; templates see the row."""

    says = 'a path such as "contracts/{{ serial }}.pdf"'

    def read(self, node: Node, report: Report) -> str:
        text = Text(self.says).read(node, report)
        if text.startswith(("/", "~")) or ".." in text.split("/") or "\\" in text:
            said = f'"{text[:60]}" cannot be attached: a path starts at the folder of the spec and stays below it'
            raise report.stop("bad-path", said, node.position)
        if is_template(text) and isinstance(node, Scalar):
            reader(report).template(node)
        return text

    def schema(self, named: dict[str, Schema]) -> Schema:
        del named
        return {"type": "string", "minLength": 1, "pattern": r"^(?![/~])(?!(?:.*/)?\.\.(?:/|$))[^\\]*$"}


def _kept(fields: Fields, report: Report) -> Fields:
    del report
    if fields.failed:
        raise Wrong
    return fields


_TABLE_NAME: Shape[str] = Text("the name of a table", TABLE, must=TABLE_MUST)
TABLE_KEY = Key("table", _TABLE_NAME, "The staging table.", required=True, example="table: imp_user")
SEND = Key(
    "send",
    Choice(("single", "multiple")),
    "single: one call and one answer per row; multiple: insertMultiple.",
    default="single",
)
LABELS = Key(
    "labels",
    MapOf(Text("a label"), "field", FIELD, "letters, digits and _ only", least=1),
    "Column labels by field: insertMultiple takes labels, not names.",
    example="labels: {user_id: User ID}",
)
MARKER = Key(
    "marker",
    Text("the name of a column", FIELD, must="letters, digits and _ only"),
    "A staging column for the name of batch and row: how rows are found again after an unclear answer.",
)
REPEAT_SAFE = Key(
    "repeat_safe", Choice(("coalesce",)), "coalesce: the transform map coalesces on a key, so a row may be sent twice."
)
RUN_AFTER = Key(
    "run_after",
    Text("the name of a step", NAME),
    "Another staging step whose import set is transformed first.",
)
STAGING_OPTIONS = Mapped("staging", "staging", (TABLE_KEY, SEND, LABELS, MARKER, REPEAT_SAFE, RUN_AFTER), _kept)

PATH = Key(
    "file",
    FileTemplate(),
    "A path or glob; templates see the row.",
    required=True,
    example='file: "contracts/{{ serial }}.pdf"',
)
FILE_NAME = Key("name", VALUE, "What the attachment is called; otherwise as the file.")
CONTENT_TYPE = Key(
    "content_type",
    Text("a type such as application/pdf", r"[a-z]+/[A-Za-z0-9.+-]{1,100}", must="such as application/pdf"),
    "The type of the content; otherwise by the suffix.",
)
FILE_MISSING = Key("if_missing", Choice(("error", "skip")), "What a file that is not there does.", default="error")
FILE_EXISTS = Key(
    "if_exists",
    Choice(("skip", "replace", "add")),
    "What an attachment of the same name and size does.",
    default="skip",
)
ATTACH_OPTIONS = Mapped("attach", "attach", (PATH, FILE_NAME, CONTENT_TYPE, FILE_MISSING, FILE_EXISTS), _kept)

STAGING = Key(
    "staging",
    Either(_TABLE_NAME, STAGING_OPTIONS),
    "A staging table (not planned yet).",
    example="staging: imp_user",
)
ATTACH = Key(
    "attach",
    Either(FileTemplate(), ATTACH_OPTIONS),
    "A file for a record (not planned yet).",
    example='attach: "contracts/{{ serial }}.pdf"',
)
TO = Key("to", REFERENCE, "The record that gets the file.", required=True, example="to: {step: servers, key: serial}")
FOURME = Key(
    "4me",
    ImportType(),
    "An import type of 4me (not planned yet).",
    example="4me: people",
)
HEADERS = Key(
    "fields",
    Headers(),
    "The headers of the import, and where their values come from.",
    required=True,
    example="fields: {Name: COLUMN}",
)


def problems(kind: str, fields: Fields, report: Report, name: Scalar) -> None:
    """What a schema cannot say about these steps."""
    if kind == "4me":
        chosen = fields.get(FOURME)
        if chosen in WITH_SOURCE_ID and fields.node.get("key") is None:
            said = f'The step "{name.text}" has no key: records of {chosen} need the identifier of the source'
            report.add("missing-key", said, name.position, "key: employee_id")
        if chosen in WITHOUT_SOURCE_ID and fields.node.get("vanished") is not None:
            said = f"Records of {chosen} carry no Source ID, so nobody can tell which have vanished"
            report.add("bad-vanished", said, fields.node.get("vanished").position, "Remove it.")  # type: ignore[union-attr]
    elif kind == "staging":
        options = fields.get(STAGING)
        if isinstance(options, Fields) and options.has(LABELS) and options.get(SEND) != "multiple":
            said = "labels goes with  send: multiple  only"
            report.add("bad-staging", said, options.position(LABELS), "send: multiple")


LATER_KEYS: dict[str, tuple[AnyKey, ...]] = {
    "staging": (STAGING, FIELDS),
    "attach": (ATTACH, TO),
    "4me": (FOURME, HEADERS),
}
"""Own keys of each kind; the common ones are in `steps`."""
