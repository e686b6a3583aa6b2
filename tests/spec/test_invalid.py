"""Every bad spec is refused with exactly the messages beside it; what a schema can say, a plain validator says, too."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from syncengine.errors import Position
from syncengine.spec import schema
from tests.spec.invalid import CASES, FOLDER, problems, said

COVERS = {
    "SPEC-01": ["empty", "only-comments", "only-dashes"],
    "SPEC-02": ["top-level-list", "top-level-text", "top-level-number"],
    "SPEC-03": ["two-documents"],
    "SPEC-04": ["tab-indentation"],
    "SPEC-05": ["unclosed-quote", "bad-indentation", "stray-percent", "stray-at", "stray-backtick"],
    "SPEC-06": ["duplicate-key"],
    "SPEC-07": ["duplicate-key-composed", "map-case"],
    "SPEC-08": ["number-key", "null-key", "true-key", "list-key"],
    "SPEC-09": ["alias-bomb"],
    "SPEC-10": ["merge-bomb"],
    "SPEC-11": ["anchor-in-itself"],
    "SPEC-12": ["unknown-key-near", "feilds"],
    "SPEC-13": ["unknown-key-far"],
    "SPEC-14": ["no-key", "no-fields", "no-steps", "lookup-class"],
    "SPEC-15": ["max-length-text", "map-list", "steps-list"],
    "SPEC-16": ["max-length-zero", "max-length-negative", "max-length-exponent", "max-length-giant"],
    "SPEC-17": ["max-length-inf", "max-length-nan"],
    "SPEC-23": ["null-text", "null-tilde", "value-null"],
    "SPEC-24": ["tag-python", "tag-binary", "tag-timestamp", "tag-int", "tag-omap", "tag-unknown"],
    "SPEC-26": ["not-utf-8"],
    "SPEC-28": ["control-character", "nul", "right-to-left", "zero-width"],
    "SPEC-29": ["look-alike-letter"],
    "SPEC-31": ["too-deep"],
    "SPEC-32": ["relation-step", "step-unknown"],
    "SPEC-35": ["relation-key-parts", "relation-to-relation"],
    "SPEC-36": ["relation-step", "step-unknown"],
    "SPEC-37": ["two-writers"],
    "SPEC-38": ["template-unclosed", "template-statement", "template-two-words", "template-filter"],
    "SPEC-39": ["template-column"],
    "SPEC-40": ["template-class", "template-attr", "template-cycler", "template-format", "template-self"],
    "SPEC-42": ["template-range", "template-power", "template-center", "template-printf"],
    "SPEC-43": ["template-now", "template-random"],
    "SPEC-44": ["source-outside", "source-device", "source-url", "source-home", "use-outside"],
    "SPEC-46": ["secret-in-spec"],
    "SPEC-48": ["source-rule-pattern", "when-matches", "template-regex"],
    "SPEC-49": ["version-missing", "version-newer", "version-older", "version-text"],
    "SPEC-51": ["class-name", "class-traversal", "class-spaces", "class-too-long"],
    "SPEC-52": ["sys-field"],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_bad_spec_has_exactly_these_messages(name: str) -> None:
    """Word for word, so that a change of a message is read by somebody."""
    assert said(name) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert any(one.severity == "error" for one in problems(name))


@pytest.mark.parametrize("name", CASES)
def test_a_message_has_a_place_and_fits_a_line(name: str) -> None:
    """Every problem names file, line and column, is at most 160 characters long, and names no Python class."""
    for one in problems(name):
        assert isinstance(one.place, Position), one
        assert one.place.line >= 1
        assert one.place.column >= 1
        assert 0 < len(one.message) <= 160
        assert "Error" not in one.message
        assert "CANARY" not in f"{one.message}{one.found}{one.fix}"


def test_there_are_at_least_120_bad_specs() -> None:
    """And each message file belongs to one."""
    assert len(CASES) >= 120
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == CASES


@pytest.mark.parametrize("line", [pytest.param(line, marks=pytest.mark.covers(line)) for line in COVERS])
def test_a_line_of_the_catalogue_is_refused_before_anything_is_sent(line: str) -> None:
    """Each line of the catalogue of bad specs has cases of its own."""
    for name in COVERS[line]:
        assert any(one.severity == "error" for one in problems(name)), name


def test_nine_mistakes_give_nine_problems_in_file_order() -> None:
    """Each with line, column, and a fix."""
    found = problems("nine-mistakes")
    assert len(found) == 9
    assert found == sorted(found, key=lambda one: one.place)
    assert all(one.fix for one in found)
    assert sum("Did you mean" in one.message + one.fix for one in found) >= 7


def _instance(name: str) -> Any:
    """The file as another YAML library reads it, for a plain validator."""
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_bytes())


def _refused_by_schema() -> list[str]:
    validator = jsonschema.Draft202012Validator(schema.schema("spec"))
    found = []
    for name in CASES:
        if name in {"alias-bomb", "merge-bomb", "anchor-in-itself", "too-deep"}:
            continue
        try:
            instance = _instance(name)
        except (yaml.YAMLError, ValueError, AttributeError, RecursionError):
            continue
        if not validator.is_valid(json.loads(json.dumps(instance, default=str))):
            found.append(name)
    return found


def test_a_plain_validator_refuses_what_a_schema_can_say() -> None:
    """The list beside the cases is complete: a case that leaves or enters it is noticed."""
    listed = (FOLDER / "by-schema.list").read_text(encoding="utf-8").split()
    assert _refused_by_schema() == listed
    assert len(listed) > 90
