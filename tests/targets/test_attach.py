"""Files for records, planned and applied against a sandbox: what is there is compared, what is lost is found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from syncengine.changes import Find, Parcel, Record, StepInfo, StepRef
from syncengine.errors import Exit, Place, SpecError
from syncengine.execution.summary import Summary
from syncengine.planning.plan_file import PlanFile
from syncengine.targets import Answered, Manner
from syncengine.targets.attach import AttachTarget
from syncengine.transport.reader import Writer
from tests.bench import Bench, actions, of_action
from tests.targets.rows import FIELDS, person, step, table
from tests.transport.wire_server import client_of, reply, serving

TO = StepRef("s.people", "P1")


def file(bench: Bench, name: str, content: bytes = b"hello", *, to: StepRef | Find = TO, called: str = "") -> Record:
    """A file of the project, for a record."""
    path = bench.place / name
    path.write_bytes(content)
    values = {
        "file": name,
        "name": called or name,
        "content_type": "text/plain",
        "size": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    key = to.key if isinstance(to, StepRef) else "found"
    return Record("s.files", f"{key}|{name}", "attachment", values, (("to", to),), (), (), (), Place("p.csv", 1, 0))


def plan(bench: Bench, *made: Record, send: str = "single", if_exists: str = "skip", user: str = "") -> PlanFile:
    """People first, files for them afterwards."""
    options = {"if_missing": "error", "if_exists": if_exists, "to": "s.people"}
    files = StepInfo("s.files", "attach", "servicenow", "", "s.files", wave=1, position="s.yaml:20:3", options=options)
    steps: dict[str, StepInfo] = {"s.people": step(send=send, marker="u_mark"), "s.files": files}
    return bench.plan(*made, steps=steps, user=user)


def there(bench: Bench) -> list[dict[str, Any]]:
    """All attachments on the instance."""
    answer = bench.connect().reader.get("/api/now/attachment", {"sysparm_query": "table_name=sys_user"})
    found: list[dict[str, Any]] = answer.body["result"]
    return found


def content(bench: Bench, sys_id: str) -> bytes:
    """The bytes of an attachment."""
    return bench.connect().reader.get(f"/api/now/attachment/{sys_id}/file", expect="bytes").content


def once(bench: Bench, summary: Summary, many: int = 1) -> None:
    """All done, and each file is there once."""
    assert summary.exit is Exit.OK, summary
    assert len(there(bench)) == many
    assert bench.sandbox.counts()["attach"] == {"sys_attachment": many}


@pytest.mark.parametrize("send", ["single", "multiple"])
def test_files_go_onto_records_that_this_run_makes(bench: Bench, send: str) -> None:
    """Their ids are known only when they are made, by single inserts or by an import set."""
    table(bench)
    made = plan(bench, person(1), file(bench, "a.txt"), send=send)
    (attach,) = of_action(made, "attach")
    assert (attach.basis, attach.refs["to"].sys_id) == ("implied", "")
    once(bench, bench.apply(made))
    (one,) = there(bench)
    assert (one["file_name"], one["size_bytes"], one["content_type"]) == ("a.txt", "5", "text/plain")
    assert content(bench, one["sys_id"]) == b"hello"
    again = plan(bench, person(1), file(bench, "a.txt"), send=send)
    assert actions(again) == {"unchanged": 2}


def test_a_plain_name_goes_as_a_form_any_other_raw(bench: Bench) -> None:
    """Servers differ about quotes and letters beyond ASCII in forms; a parameter has one spelling."""
    table(bench)
    names = ["plain name.txt", "größe.txt", 'quo"te.txt', "100%.txt"]
    once(bench, bench.apply(plan(bench, person(1), *(file(bench, name) for name in names))), 4)
    assert {one["file_name"] for one in there(bench)} == set(names)


def test_files_go_onto_records_that_nobody_foretold(bench: Bench) -> None:
    """The row's own answer says which table its record is in."""
    scripts = [{"if": "u_last=x", "do": "ignore"}]
    table(bench, {"name": "P", "target": "sys_user", "fields": FIELDS, "scripts": scripts})
    for number, send in enumerate(("single", "multiple"), 1):
        row = file(bench, f"{number}.txt", to=StepRef("s.people", f"P{number}"))
        made = plan(bench, person(number), row, send=send)
        assert of_action(made, "unknown")[0].key == f"P{number}"
        once(bench, bench.apply(made), number)


@pytest.mark.covers("ATT-05")
def test_other_content_of_one_name_is_never_doubled_silently(bench: Bench) -> None:
    """skip refuses it, replace takes its place, add keeps both; the same content is nothing to do for any of them."""
    table(bench)
    bench.apply(plan(bench, person(1), file(bench, "a.txt")))
    rows = [person(1), file(bench, "a.txt", b"world")]
    (refused,) = of_action(plan(bench, *rows), "rejected")
    assert refused.code == "other-content"
    replacing = plan(bench, *rows, if_exists="replace")
    (change,) = of_action(replacing, "update")
    assert change.before["size"] == "5"
    assert bench.apply(replacing).exit is Exit.OK
    (one,) = there(bench)
    assert content(bench, one["sys_id"]) == b"world"
    for how in ("skip", "replace", "add"):
        assert actions(plan(bench, *rows, if_exists=how)) == {"unchanged": 2}
    bench.apply(plan(bench, person(1), file(bench, "a.txt", b"third"), if_exists="add"))
    assert len(there(bench)) == 2
    assert actions(plan(bench, person(1), file(bench, "a.txt", b"third"), if_exists="add")) == {"unchanged": 2}


def test_the_hash_is_read_wherever_it_is_and_else_name_and_size_decide(bench: Bench) -> None:
    """And the plan says by which."""
    table(bench)
    for how in ("none", "table", "listed"):
        bench.sandbox.settings(**{"attachment.hash": how})
        bench.apply(plan(bench, person(1), file(bench, f"{how}.txt")))
        other = plan(bench, person(1), file(bench, f"{how}.txt", b"HELLO"))
        if how == "none":
            assert [c.reason for c in of_action(other, "unchanged")] == ["", "same name and size"]
        else:
            assert of_action(other, "rejected")[0].code == "other-content"


@pytest.mark.covers("ATT-01")
@pytest.mark.parametrize(
    "fault", ["commit_then_reset", "reset", "status(500)", "commit_then_status(500)", "truncate(20)"]
)
def test_a_lost_answer_is_settled_by_the_list(bench: Bench, fault: str) -> None:
    """There: done. Not there: sent again. Never twice."""
    table(bench)
    made = plan(bench, person(1), *(file(bench, f"{n}.txt") for n in range(3)))
    bench.sandbox.faults(f"api=attach_upload, at=2, times=1, do={fault}")
    once(bench, bench.apply(made), 3)


@pytest.mark.parametrize("fault", ["hang", "commit_then_hang", "commit_late(120)"])
def test_no_answer_in_time_is_settled_by_the_list(bench: Bench, fault: str) -> None:
    """Before the upload was kept, after it, or much later."""
    table(bench)
    made = plan(bench, person(1), file(bench, "a.txt"))
    bench.sandbox.faults(f"api=attach_upload, at=1, times=1, do={fault}")
    summary = bench.apply(made, seconds=1.0, settle=330, clock=bench.passing())
    bench.later(330)
    once(bench, summary)


def test_a_replacement_that_lost_its_answers_ends_with_one_file(bench: Bench) -> None:
    """The upload, or the removal of what it replaces."""
    table(bench)
    bench.apply(plan(bench, person(1), file(bench, "a.txt")))
    for number, api in enumerate(("attach_upload", "attach_write")):
        text = f"new {number}".encode()
        made = plan(bench, person(1), file(bench, "a.txt", text), if_exists="replace")
        bench.sandbox.faults(f"api={api}, at=1, times=1, do=commit_then_reset")
        assert bench.apply(made).exit is Exit.OK
        (one,) = there(bench)
        assert content(bench, one["sys_id"]) == text


def test_a_plan_does_not_choose_a_file_outside_of_the_project(bench: Bench) -> None:
    """Whatever it says: nothing is sent."""
    table(bench)
    bench.apply(plan(bench, person(1)))
    made = plan(bench, person(1), file(bench, "a.txt"))
    (change,) = of_action(made, "attach")
    inner = bench.place / "inner"
    inner.mkdir()
    target = AttachTarget(made.header.steps, Manner(root=inner))
    change.values = {**change.values, "file": "../a.txt"}
    done = target.send(Parcel("", [change], [], []), bench.connect().writer)
    assert isinstance(done, Answered)
    assert [(one.result, one.code) for one in done.outcomes] == [("rejected", "bad-path")]
    assert there(bench) == []


@pytest.mark.covers("ATT-02")
def test_an_answer_that_tells_of_fewer_bytes_is_not_done(bench: Bench) -> None:
    """The instance says that it kept less than was sent."""
    table(bench)
    bench.apply(plan(bench, person(1)))
    made = plan(bench, person(1), file(bench, "a.txt"))
    (change,) = of_action(made, "attach")
    target = AttachTarget(made.header.steps, Manner(root=bench.place))
    for size, ends in ((5, ("applied", "")), (3, ("rejected", "short-file"))):
        told = {"sys_id": "f" * 32, "file_name": "a.txt", "size_bytes": str(size), "table_name": "sys_user"}
        answer = reply(201, orjson.dumps({"result": told}).decode())
        with serving(answer) as server, client_of(server.url) as client:
            done = target.send(Parcel("", [change], [], []), Writer(client))
        assert isinstance(done, Answered)
        assert [(one.result, one.code) for one in done.outcomes] == [ends]


@pytest.mark.covers("ATT-02")
@pytest.mark.parametrize("then", ["reset", "status(500)"])
def test_a_short_copy_is_told_and_not_doubled(bench: Bench, then: str) -> None:
    """An upload cut in the middle, of which the server kept the beginning."""
    table(bench)
    made = plan(bench, person(1), file(bench, "a.txt", b"x" * 1000))
    bench.sandbox.faults(f"api=attach_upload, at=1, times=1, do=commit_part(300)_then_{then}")
    summary = bench.apply(made)
    assert (summary.exit, summary.total("rejected"), len(there(bench))) == (Exit.PARTIAL, 1, 1)
    outcome = next(one for one in bench.outcomes(summary.run).values() if one.result == "rejected")
    assert outcome.code == "short-file"
    assert there(bench)[0]["sys_id"] in outcome.message


@pytest.mark.covers("ATT-03")
def test_what_the_instance_does_not_take_is_refused_by_the_plan(bench: Bench) -> None:
    """Size and extension, where its properties can be read; else the row is rejected, and the rest goes on."""
    table(bench)
    bench.sandbox.seed({"properties": {"glide.attachment.extensions": "pdf,txt"}}, force=True)
    made = plan(bench, person(1), file(bench, "a.exe"), file(bench, "b.txt"))
    (refused,) = of_action(made, "rejected")
    assert refused.code == "extension-not-allowed"
    bench.apply(made)
    assert [one["file_name"] for one in there(bench)] == ["b.txt"]
    made = plan(bench, person(1), file(bench, "c.txt"), file(bench, "d.txt"))
    bench.sandbox.faults("api=attach_upload, at=1, do=status(415)")
    summary = bench.apply(made, permits=1)
    assert (summary.exit, summary.total("rejected"), summary.total("applied")) == (Exit.PARTIAL, 1, 1)


@pytest.mark.covers("ATT-04")
def test_files_of_a_record_that_failed_are_listed_under_it(bench: Bench) -> None:
    """Refused in the plan, or while it is applied."""
    table(bench)
    made = plan(bench, person(1), file(bench, "a.txt"))
    bench.sandbox.faults("api=import_one, do=item_errors(1.0)")
    summary = bench.apply(made)
    assert (summary.total("rejected"), summary.total("not_sent")) == (1, 1)
    bench.sandbox.clear_faults()
    refused = plan(bench, person(1), person(2, u_mail="p1@x.org"), file(bench, "a.txt"))
    assert {c.code for c in of_action(refused, "rejected")} == {"same-identity", "end-rejected"}
    missing = plan(bench, person(1), file(bench, "a.txt", to=StepRef("s.people", "P9")))
    assert of_action(missing, "rejected")[0].code == "missing-endpoint"


@pytest.mark.covers("ATT-06")
def test_a_list_that_hides_something_proves_nothing(bench: Bench) -> None:
    """The count of the header is more than was shown: whether the file is there cannot be told."""
    table(bench)
    bench.apply(plan(bench, person(1), file(bench, "a.txt"), file(bench, "b.txt")))
    bench.sandbox.faults("api=attach_list, do=count(-1)")
    made = plan(bench, person(1), file(bench, "a.txt"), file(bench, "b.txt"), file(bench, "c.txt"))
    assert of_action(made, "unknown")
    assert not of_action(made, "attach")


@pytest.mark.covers("ATT-07")
def test_links_of_the_server_are_not_followed(bench: Bench) -> None:
    """Attachments are compared by what lists say; nothing is fetched from where they point."""
    table(bench)
    bench.apply(plan(bench, person(1), file(bench, "a.txt")))
    bench.sandbox.faults("api=attach_list, do=link(https://evil.example/x)")
    assert actions(plan(bench, person(1), file(bench, "a.txt"))) == {"unchanged": 2}


@pytest.mark.covers("ATT-08")
def test_another_file_than_was_planned_is_not_sent(bench: Bench) -> None:
    """Its hash stands in the plan."""
    table(bench)
    made = plan(bench, person(1), file(bench, "a.txt"), file(bench, "b.txt"))
    (bench.place / "a.txt").write_bytes(b"HELLO")
    (bench.place / "b.txt").unlink()
    summary = bench.apply(made)
    assert (summary.exit, summary.total("rejected")) == (Exit.PARTIAL, 2)
    assert {one.code for one in bench.outcomes(summary.run).values()} == {"", "file-changed", "no-file"}
    assert not there(bench)


@pytest.mark.covers("ATT-09")
def test_a_record_with_a_thousand_files_is_listed_whole(bench: Bench) -> None:
    """In pages, by the count of the header."""
    table(bench)
    bench.apply(plan(bench, person(1)))
    user = bench.rows("sys_user", "email=p1@x.org")[0]["sys_id"]
    writer = bench.connect().writer
    for number in range(1005):
        params = {"table_name": "sys_user", "table_sys_id": user, "file_name": f"{number}.txt"}
        writer.send("/api/now/attachment/file", params, f"{number}".encode(), content_type="text/plain")
    made = plan(bench, person(1), *(file(bench, f"{n}.txt", f"{n}".encode()) for n in (0, 500, 1004)))
    assert actions(made) == {"unchanged": 4}


def test_many_rows_whose_results_cannot_be_read_take_no_files(bench: Bench) -> None:
    """insertMultiple tells no ids, and without the role the staging rows do not either."""
    table(bench)
    bench.sandbox.seed({"users": {"clerk": {"password": "secret", "roles": ["itil"]}}}, force=True)
    with pytest.raises(SpecError, match="sends with insertMultiple") as told:
        plan(bench, person(1), file(bench, "a.txt"), send="multiple", user="clerk")
    assert told.value.problems[0].code == "attach-needs-record-id"
    assert 'send: single  in "people"' in told.value.problems[0].fix


def test_files_go_onto_records_that_are_found(bench: Bench, tmp_path: Path) -> None:
    """By what they hold; compared at once, since they are there."""
    table(bench)
    bench.apply(plan(bench, person(1)))
    made = plan(bench, file(bench, "a.txt", to=Find("sys_user", (("email", "p1@x.org"),))))
    (attach,) = of_action(made, "attach")
    assert (attach.basis, attach.refs["to"].class_name) == ("compared", "sys_user")
    once(bench, bench.apply(made))
