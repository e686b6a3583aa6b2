"""Fields that are written when the records they name are there."""

from __future__ import annotations

from syncengine.reports import find
from tests.targets.fourme.desk import Desk

HEAD = "id,mail,name,title,boss"


def test_what_completes_a_record_that_was_refused_is_not_sent(desk: Desk) -> None:
    """Nobody was made whose manager could be written; the row is accounted for under its cause."""
    rows = ["P1,p1@company.com,One,,", "P2,p2@company.com,Two,,P1"]
    plan = desk.plan(people_csv="\n".join([HEAD, *rows]) + "\n")
    assert plan.manifest.total("create") == 2
    desk.count_uploads()
    desk.sandbox.faults("api=me_upload, at=1, do=job(failures(2))")
    summary = desk.apply(plan)
    assert (summary.total("rejected"), summary.total("not_sent")) == (2, 1)
    assert desk.jobs_begun() == 1


def test_the_reviewer_sees_what_a_second_pass_writes(desk: Desk) -> None:
    """The record is new, so nothing is there that it would change."""
    rows = ["P1,p1@company.com,One,,", "P2,p2@company.com,Two,,P1"]
    plan = desk.plan(people_csv="\n".join([HEAD, *rows]) + "\n")
    human = [line.strip() for line in find("human").of_plan(plan, details=50)]
    assert human[human.index("~ people P2  (people.csv row 2, line 3)") + 1] == "Manager=p1@company.com"
    assert "`Manager` = `p1@company.com`" in "\n".join(find("markdown").of_plan(plan, details=50))
