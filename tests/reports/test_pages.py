"""Pages, annotations and test reports: what comes from data stays data, whatever reads it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings

from syncengine.changes import Change
from syncengine.errors import Place
from syncengine.planning.plan import Note
from syncengine.reports import ALL, find
from syncengine.reports.html import FEWEST
from tests.reports.test_reports import evil, plan_of, some

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"{{ 7*7 }}\x1b[31m\u202e"


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]


def page(path: Path, changes: list[Change], *, details: int = 20, show_values: bool = True) -> str:
    plan = plan_of(path, changes, show_values=show_values, notes=(Note("x", HOSTILE, fix=HOSTILE),))
    return "\n".join(find("html").of_plan(plan, details=details)) + "\n"


@pytest.mark.covers("SEC-41", "SEC-43", "SEC-44", "SEC-45")
@QUICK
@given(key=evil, value=evil)
def test_a_page_holds_the_same_elements_whatever_the_data_says(tmp_path: Path, key: str, value: str) -> None:
    """Values become text between tags: no tag, no attribute and no character that turns a line around comes of them."""
    tame = Page(page(tmp_path / "p", some("key", "value")))
    made = page(tmp_path / "q", some(key or "k", value or "v"))
    assert Page(made).names() == tame.names()
    assert all(char.isprintable() or char == "\n" for char in made)


@pytest.mark.covers("SEC-41", "SEC-43")
def test_a_page_runs_its_own_script_only_and_loads_nothing(tmp_path: Path) -> None:
    """Its policy names the hashes of the style and the script that stand in it."""
    made = page(tmp_path / "p", some(HOSTILE, HOSTILE))
    found = Page(made)
    assert found.names().count("script") == found.names().count("style") == 1
    for _, attributes in found.tags:
        assert not {"src", "href", "action", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    assert "http://" not in made
    assert "https://" not in made
    assert "url(" not in made
    policy = next(a["content"] for tag, a in found.tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for kind in ("style", "script"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", made, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_a_page_of_a_large_plan_is_folded_and_cut_unless_all_of_it_is_wanted(tmp_path: Path) -> None:
    many = [Change(n, "cmdb", 0, "create", "engine", key=f"K{n}", values={"name": "n"}) for n in range(1, FEWEST + 101)]
    made = page(tmp_path / "p", many)
    assert made.count('class="op"') == FEWEST
    assert "… and 100 more" in made
    assert '<details class="group">' in made
    made = page(tmp_path / "q", many, details=ALL)
    assert made.count('class="op"') == FEWEST + 100
    assert "more; <code>--all" not in made


def test_a_page_keeps_values_out_where_the_environment_says_so(tmp_path: Path) -> None:
    values = {"name": "DATACANARY"}
    update = Change(1, "cmdb", 0, "update", "engine", key="K", values=values, before=values)
    made = page(tmp_path / "p", [update], show_values=False)
    assert "<td>name</td>" in made
    assert "DATACANARY" not in made


@pytest.mark.covers("SEC-43", "SEC-44")
@QUICK
@given(key=evil, value=evil)
def test_an_annotation_is_one_command_a_line_whatever_the_data_says(tmp_path: Path, key: str, value: str) -> None:
    lines = list(find("github").of_plan(plan_of(tmp_path / "p", some(key, value)), details=10))
    assert [line.split(" ")[0] for line in lines] == ["::warning", "::warning", "::notice"]
    assert all(line.isprintable() for line in lines)


def test_annotations_stand_beside_the_row_or_the_line_of_the_spec(tmp_path: Path) -> None:
    refused = Change(1, "cmdb", 0, "rejected", "engine", key="S9", code="MULTI_MATCH", message="two of them")
    refused.place = Place("specs/a,b.csv", 3, 4)
    linked = Change(2, "relation", 0, "rejected", "implied", code="end-rejected", message="x", spec="specs/s.yaml:9:3")
    made = "\n".join(find("github").of_plan(plan_of(tmp_path / "p", [refused, linked]), details=10))
    assert "::warning file=specs/a%2Cb.csv,line=4,title=MULTI_MATCH::S9: two of them" in made
    assert "::warning file=specs/s.yaml,line=9,col=3,title=end-rejected::" in made


@pytest.mark.covers("SEC-43")
@QUICK
@given(key=evil, value=evil)
def test_a_test_report_can_be_read_whatever_the_data_says(tmp_path: Path, key: str, value: str) -> None:
    lines = find("junit").of_plan(plan_of(tmp_path / "p", some(key, value)), details=10)
    suite = ElementTree.fromstring("\n".join(lines))
    cases = suite.findall("testcase")
    assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), "1")
    assert cases[0].get("name") == "planned"
    assert len(cases) == 2


def test_a_test_report_says_how_many_rows_it_does_not_name(tmp_path: Path) -> None:
    many = [Change(n, "cmdb", 0, "rejected", "engine", key=f"K{n}", code="c", message="m") for n in range(1, 31)]
    suite = ElementTree.fromstring("\n".join(find("junit").of_plan(plan_of(tmp_path / "p", many), details=20)))
    assert suite.get("failures") == "21"
    assert suite.findall("testcase")[-1].get("name") == "10 more rows"
