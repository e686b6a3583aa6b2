"""`extract:` of a project file: tables that are taken out of an instance; of an environment: where they go."""

from __future__ import annotations

from syncengine.spec.atoms import NAME, NAME_MUST
from syncengine.spec.keys import AnyKey, Fields, Key, Mapped
from syncengine.spec.model import Destination, Extract
from syncengine.spec.report import Report, Wrong
from syncengine.spec.secrets import SecretShape
from syncengine.spec.shapes import MapOf, Text
from syncengine.spec.tables import TABLE_OPTIONS

OPTION = r"[a-z][a-z0-9_]{0,59}(?:\.[a-z][a-z0-9_]{0,59}){0,4}"
OPTION_MUST = "small letters, digits and _, with dots between"
DESTINATION = Key(
    "destination",
    Text("the name of a destination", NAME, must=NAME_MUST),
    "Where tables go: a destination of dlt, such as duckdb, filesystem, postgres, snowflake, bigquery.",
    default="duckdb",
)
DATASET = Key("dataset", Text("a name", NAME, must=NAME_MUST), "The schema or folder there.", default="servicenow")
OPTIONS = Key(
    "options",
    MapOf(Text("a text"), "option", OPTION, OPTION_MUST, least=1),
    "Settings of the destination, as dlt names them; secrets are named in environments.",
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

_SECRET_OPTIONS = Key(
    "options",
    MapOf(SecretShape("option", plain=True), "option", OPTION, OPTION_MUST, least=1),
    "Settings of the destination, as dlt names them; a secret says where it is found.",
    example="options: {bucket_url: s3://acme-itsm, credentials.aws_secret_access_key: {env: AWS_SECRET}}",
)
_WHERE = Key("destination", DESTINATION.shape, DESTINATION.doc, example="destination: filesystem")
WHERE_KEYS: tuple[AnyKey, ...] = (_WHERE, _SECRET_OPTIONS)


def _destination(fields: Fields, report: Report) -> Destination:
    del report
    if fields.failed:
        raise Wrong
    return Destination(fields.get(_WHERE), fields.get(_SECRET_OPTIONS) or {})


WHERE = Key(
    "extract",
    Mapped("where", "extract of an environment", WHERE_KEYS, _destination),
    "Where syncengine extract puts tables, if not where the project says.",
    example="extract: {destination: postgres, options: {credentials: {env: WAREHOUSE_URL}}}",
)
