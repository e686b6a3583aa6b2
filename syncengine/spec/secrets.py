"""A secret as a file may name it: where it is found, never what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncengine.credentials import FromCommand, FromEnv, FromFile, Plain, SecretSource
from syncengine.spec.keys import Key, object_schema, read_keys
from syncengine.spec.nodes import MapNode, Node, Scalar
from syncengine.spec.report import Report, Wrong
from syncengine.spec.shapes import ListOf, Schema, Shape, Text

_ENV = Key(
    "env",
    Text("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*", must="letters, digits and _"),
    "An environment variable, or a line of .env.",
    example="env: SN_PASSWORD",
)
_FILE = Key("file", Text("a path"), "A file that holds only the secret.", example="file: /run/secrets/sn")
_COMMAND = Key(
    "command",
    ListOf(Text("a word"), least=1),
    "A command that prints the secret.",
    example="command: [pass, show, servicenow]",
)


@dataclass(frozen=True)
class SecretShape(Shape[SecretSource]):
    """`{env:}`, `{file:}` or `{command:}`; a text only where it is no secret."""

    what: str
    plain: bool = False
    keys = (_ENV, _FILE, _COMMAND)

    @property
    def says(self) -> str:  # type: ignore[override]
        """The forms."""
        return "{env: NAME}, {file: path} or {command: [..]}"

    def read(self, node: Node, report: Report) -> SecretSource:
        if isinstance(node, Scalar) and node.kind != "null":
            if self.plain:
                return Plain(Text().read(node, report), node.position)
            fix = f"{self.what}: {{env: SN_{self.what.upper()}}}\nIf this file was ever pushed, change the {self.what}."
            said = f'"{self.what}" must not be written here; put it in an environment variable'
            raise report.stop("secret-in-file", said, node.position, fix)
        if not isinstance(node, MapNode):
            raise self.expected(node, report)
        fields = read_keys(node, self.keys, report, "a secret")
        found = [key for key in self.keys if fields.has(key)]
        if len(found) != 1:
            raise report.stop(
                "bad-secret", f"A secret says one of env, file, command; found {len(found)}", node.position
            )
        if fields.failed:
            raise Wrong
        if fields.has(_ENV):
            return FromEnv(fields.need(_ENV), node.position)
        if fields.has(_FILE):
            return FromFile(Path(fields.need(_FILE)), node.position)
        return FromCommand(fields.need(_COMMAND), node.position)

    def schema(self, named: dict[str, Schema]) -> Schema:
        if "secret" not in named:
            named["secret"] = {}
            named["secret"] = {**object_schema(self.keys, named), "minProperties": 1, "maxProperties": 1}
        ref: Schema = {"$ref": "#/$defs/secret"}
        return (
            {"if": {"type": "object"}, "then": ref, "else": {"type": "string", "minLength": 1}} if self.plain else ref
        )
