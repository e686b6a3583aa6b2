"""Fields that are written when the records they name are there."""

from __future__ import annotations

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
