"""`4me`: records of an import type."""

from __future__ import annotations

from typing import Any, cast

from syncengine.mapping.model import Recipe
from syncengine.spec.fields import FieldsShape
from syncengine.spec.items import EACH_INSIDE
from syncengine.spec.kinds.common import (
    ACCEPT,
    COMMON,
    CONNECTION,
    DATA_SOURCE,
    DISTINCT,
    KEY,
    ON_ERROR,
    STEP_IF_EMPTY,
    VANISHED,
    StepContext,
    data_source_of,
    field_references,
)
from syncengine.spec.model import FieldInfo, Step, Vanished
from syncengine.spec.nodes import Node, Scalar
from syncengine.spec.reader import Reader
from syncengine.spec.references import VALUE
from syncengine.spec.shapes import Fields, Key, Report, Schema, Shape, Text, Wrong
from syncengine.spec.values import WHEN
from syncengine.spec.wording import near

MAX_SOURCE = 30
"""Characters of a Source in 4me."""
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


FOURME = Key(
    "4me",
    ImportType(),
    "An import type of 4me.",
    example="4me: people",
)
HEADERS = Key(
    "fields",
    Headers(),
    "The headers of the import, and where their values come from.",
    required=True,
    example="fields: {Name: COLUMN}",
)


FOURME_KEYS = (*COMMON, DISTINCT, KEY, STEP_IF_EMPTY, DATA_SOURCE, VANISHED, ACCEPT, FOURME, HEADERS)


def build(name: Scalar, fields: Fields, source: str, context: StepContext, note: Reader) -> Step:
    """A step that imports records; problems are noted, and `Wrong` raised where no step can be made.

    Its option is the type.
    """
    chosen = fields.get(FOURME)
    if chosen in WITH_SOURCE_ID and fields.node.get("key") is None:
        said = f'The step "{name.text}" has no key: records of {chosen} need the identifier of the source'
        note.add("missing-key", said, name.position, "key: employee_id")
    vanished = fields.node.get("vanished")
    if chosen in WITHOUT_SOURCE_ID and vanished is not None:
        said = f"Records of {chosen} carry no Source ID, so nobody can tell which have vanished"
        note.add("bad-vanished", said, vanished.position, "Remove it.")
    why = "4me keeps it as the Source of each record"
    data_source = data_source_of(name, fields, context, note, why, "data_source: DC Inventory")
    if len(data_source) > MAX_SOURCE:
        position = fields.position(DATA_SOURCE) if fields.has(DATA_SOURCE) else name.position
        note.add("too-long", f"4me takes at most {MAX_SOURCE} characters as a data source", position)
    if fields.failed or not source:
        raise Wrong
    full = f"{note.name}.{name.text}"
    rules = fields.need(HEADERS)
    key = fields.get(KEY) or ()
    recipe = Recipe(
        full,
        name.position,
        source,
        context.sources[source],
        key=key,
        class_rule=str(chosen),
        each=fields.get(EACH_INSIDE),
        when=fields.get(WHEN),
        distinct=fields.get(DISTINCT) or (),
        fields=rules,
        if_empty=cast(Any, fields.get(STEP_IF_EMPTY) or context.defaults.if_empty),
        timezone=context.defaults.timezone,
        style="4me",
        lists=True,
        vars=context.vars,
    )
    return Step(
        name.text,
        full,
        "4me",
        source,
        name.position,
        recipe,
        data_source=data_source,
        feed=full,
        classes=(str(chosen),),
        on_error=cast(Any, fields.get(ON_ERROR) or context.defaults.on_error),
        vanished=fields.get(VANISHED) or context.defaults.vanished or Vanished(),
        accept_inferred=bool(fields.get(ACCEPT)),
        connection=fields.get(CONNECTION),
        fields=tuple(FieldInfo(one.name, one.position, one.sensitive, one.compare) for one in rules),
        references=field_references(rules),
        key_parts=len(key),
        options={"type": str(chosen)},
        defers=True,
    )
