"""`extract:` of a project file: tables that are taken out of an instance, and where they go."""

from __future__ import annotations

from syncengine.spec.atoms import NAME, NAME_MUST
from syncengine.spec.model import Extract
from syncengine.spec.shapes import Fields, Key, MapOf, Mapped, Report, Text, Wrong
from syncengine.spec.tables import TABLE_OPTIONS

DESTINATION = Key(
    "destination",
    Text("the name of a destination", NAME, must=NAME_MUST),
    "Where tables go: a destination of dlt, such as duckdb, filesystem, postgres, snowflake, bigquery.",
    default="duckdb",
)
DATASET = Key("dataset", Text("a name", NAME, must=NAME_MUST), "The schema or folder there.", default="servicenow")
OPTIONS = Key(
    "options",
    MapOf(Text("a text"), "option"),
    "Settings of the destination, as dlt names them; no secrets, which go into its environment variables.",
    example="options: {bucket_url: file:///srv/lake}",
)
TABLES = Key(
    "tables",
    MapOf(TABLE_OPTIONS, "table", NAME, NAME_MUST, least=1),
    "Tables by the name they get; extract without a name takes all.",
    example="tables: {incidents: {table: incident, query: active=true}}",
)


def _extract(fields: Fields, report: Report) -> Extract:
    del report
    if fields.failed:
        raise Wrong
    return Extract(
        fields.get(DESTINATION) or "duckdb",
        fields.get(DATASET) or "servicenow",
        fields.get(OPTIONS) or {},
        fields.get(TABLES) or {},
    )


EXTRACT_OPTIONS: Mapped[Extract] = Mapped("extract", "extract", (DESTINATION, DATASET, OPTIONS, TABLES), _extract)
EXTRACT = Key("extract", EXTRACT_OPTIONS, "What syncengine extract reads, and where it goes.")
