"""specs/: what the first command of the README runs."""

from __future__ import annotations

from tests.examples.conftest import Examples


def test_the_first_command_of_the_readme_says_what_changed(project: Examples) -> None:
    """Plan, then apply; the last line counts what was done, and a second plan has nothing to do."""
    first = project.plan("specs", "first.plan", 2)
    ran = project.apply("first.plan")

    assert first.total("create") == 11
    assert first.total("relate") == 8
    assert ran.out.splitlines()[-1].startswith("Applied 19 of 19 operations to sandbox")
    assert project.plan("specs", "second.plan", 0).lines == []


def test_a_scrapped_server_is_left_out_and_an_unknown_system_is_a_plain_server(project: Examples) -> None:
    """`when` filters rows, the conditional class decides by the first condition that holds."""
    plan = project.plan("specs", "first.plan", 2)

    classes = {line["key"]: line["class_name"] for line in plan.of("create") if line["step"] == "servers.servers"}
    assert classes == {
        "CZ1234AB": "cmdb_ci_linux_server",
        "CZ1234AC": "cmdb_ci_win_server",
        "CZ1234AD": "cmdb_ci_linux_server",
        "CZ1234AE": "cmdb_ci_server",
    }
