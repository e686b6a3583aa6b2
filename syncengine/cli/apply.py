"""`syncengine apply`: do exactly what a plan says."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from syncengine import __version__
from syncengine.cli import connect, places
from syncengine.cli import waivers as allowed
from syncengine.cli.complaints import complain, say
from syncengine.cli.inputs import CHANGED, check_inputs, originals_of
from syncengine.cli.progress import follow, progress
from syncengine.errors import (
    NOTHING_SENT,
    NOTHING_WRITTEN,
    Exit,
    Problem,
    SpecError,
    StaleError,
    SyncError,
    UnsafeError,
    many,
)
from syncengine.execution.account import account_of
from syncengine.execution.journal import State
from syncengine.execution.locks import locked
from syncengine.execution.run import begin
from syncengine.execution.summary import Summary
from syncengine.pipeline import apply_plan, check_key
from syncengine.planning.guards import refusals, unneeded, waived
from syncengine.planning.plan_file import PlanFile, open_plan
from syncengine.planning.sealing import KEY_NAME
from syncengine.reports import find
from syncengine.spec.model import Project
from syncengine.transport.clock import Clock


@click.command(name="apply")
@click.argument("plan_path", metavar="PLAN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--env", "env_name", metavar="NAME", help="The environment's file of this project, if it has another name now."
)
@places.env_file_option
@click.option("--plan-hash", metavar="H", help="Refuse any plan but the one with this hash.")
@click.option("--allow", multiple=True, metavar="STEP.GUARD=N", help="Let exactly N pass a guard; or changed-inputs.")
@click.option("--no-stale-check", is_flag=True, help="Do not ask the target again before sending.")
@places.permits_option
@places.format_option
def command(
    plan_path: Path,
    yes: bool,
    env_name: str | None,
    env_file: Path | None,
    plan_hash: str | None,
    allow: tuple[str, ...],
    no_stale_check: bool,
    permits: int | None,
    form: str,
) -> int:
    """Do exactly what a plan says.

    Needs the plan and the credentials; neither specs nor sources. Just before a batch is sent, the target is asked
    again: what somebody changed in the meantime is not sent, and told. An interrupted run goes on with resume.

    \b
    syncengine apply today.plan          shows it and asks
    syncengine apply today.plan --yes    for CI, after review
    syncengine apply today.plan --yes --plan-hash H
                                         only the plan that was reviewed
    """
    plan = open_plan(plan_path)
    check_version(plan)
    if plan_hash is not None and not (len(plan_hash) >= 12 and plan.seal.plan_hash.startswith(plan_hash)):
        raise StaleError(
            Problem(
                "another-plan",
                "this is not the plan with that hash",
                str(plan_path),
                found=plan.seal.plan_hash,
                fix="apply the file that was reviewed"
                if len(plan_hash) >= 12
                else "give at least twelve digits of the hash",
            )
        )
    check_guards(plan, allow)
    if not yes:
        if form == "human":
            for line in find("human").of_plan(plan, details=20):
                click.echo(line)
        if not sys.stdin.isatty():
            raise SpecError(Problem("not-confirmed", "nobody is there to ask", "syncengine apply", fix="add --yes"))
        click.confirm("Do this?", abort=True)
    project = places.project()
    env = connect.environment(project, env_name or plan.header.environment, env_file)
    inputs = check_inputs(project, plan, env.vars, allowed=CHANGED in allow)
    if inputs.absent and form == "human":
        click.echo(f"Not here, so not compared with the plan: {', '.join(inputs.absent[:5])}", err=True)
    return applied(project, plan, env_name, env_file, permits, form, stale_check=not no_stale_check)


def check_version(plan: PlanFile) -> None:
    """Refuse a plan of another major version; raises StaleError."""
    made, now = plan.header.product, __version__
    if made.split(".")[0] != now.split(".")[0]:
        said = f"the plan was made by {made}, this is {now}"
        raise StaleError(Problem("another-version", said, str(plan.path), fix="plan again with this version"))


def check_guards(plan: PlanFile, allow: Sequence[str]) -> None:
    """Refuse a plan that a guard refused, unless exactly its count is waived now; raises SpecError, UnsafeError."""
    waivers = allowed.parse(allow, "apply")
    manifest = plan.manifest
    allowed.check_steps(waivers, manifest.counts)
    manifest.guards = [guard if guard.state == "waived" else waived(guard, waivers) for guard in manifest.guards]
    for note in unneeded(manifest.guards, waivers):
        say(f"note: {note.message}", err=True)
    if manifest.is_refused:
        raise UnsafeError(refusals(manifest, {step.name: step.position for step in plan.header.steps}))


def applied(
    project: Project,
    plan: PlanFile,
    env_name: str | None,
    env_file: Path | None,
    permits: int | None,
    form: str,
    *,
    stale_check: bool,
) -> int:
    """Begin a run of a plan and see it to its end; returns the exit class."""
    state = State(connect.state_directory(project))
    run = places.run_name()
    try:
        with locked(state, plan, run):
            env = connect.environment(project, env_name or plan.header.environment, env_file)
            needed = plan.header.connections
            with (
                connect.opened(project, env, [], needed, permits=permits) as connections,
                progress("Applying") as shown,
            ):
                connect.same_system(plan, connections)
                key = os.environ.get(KEY_NAME)
                check_key(plan, key)
                kept = begin(state, plan, run, places.wall(), __version__)
                clock = Clock()
                events = apply_plan(
                    state,
                    kept,
                    run,
                    connections,
                    clock,
                    places.wall,
                    stale_check=stale_check,
                    plan_key=key,
                    originals=originals_of(project, plan, env.vars),
                )
                finished = follow(events, shown)
        return told(state, finished.summary, form, needs_plan=env.protect_apply_needs_plan)
    finally:
        state.close()


IN_SHORT = ("human", "json")
"""Formats in which a run that just ended is told by its numbers: its rows are in `rejects.csv` and in `report`."""


def tells_plan_too(form: str) -> bool:
    """Whether what is about to be applied is told before: a page and a test report are one document, of the run.

    Annotations name each row once, as the run leaves it.
    """
    return form in ("human", "json", "markdown")


def told(state: State, summary: Summary, form: str, *, needs_plan: bool) -> int:
    """Report a run on stdout, and what is left to do on stderr; returns the exit class.

    `needs_plan` says that the environment takes saved plans only, so `retry` is no advice.
    """
    report = find(form)
    if form in IN_SHORT:
        for line in report.of_run(summary):
            say(line)
    else:
        row = next(row for row in state.runs() if row.id == summary.run)
        with account_of(state, row) as account:
            for line in report.of_account(account, details=places.DETAILS):
                say(line)
    error = complaint(summary, needs_plan=needs_plan)
    if error is not None:
        complain(error)
    return int(summary.exit)


def complaint(summary: Summary, *, needs_plan: bool = False) -> SyncError | None:
    """What is left of a run, as one error with its effect line; None when everything is done."""
    if summary.exit is Exit.OK:
        return None
    rejected, stale, unknown = (summary.total(name) for name in ("rejected", "stale", "unknown"))
    unsent, done, all_of_it = summary.total("not_sent"), summary.total("applied"), summary.operations
    problems = [summary.problem] if summary.problem else []
    place = f"run {summary.run}"
    resume = f"syncengine resume {summary.run}"
    again = f"syncengine plan --again {summary.run}"
    rows = f"Rows not applied: {os.path.relpath(summary.rejects)}" if summary.rejects else ""
    if unknown:
        problems.append(Problem("unclear", f"{many(unknown, 'write')} never answered", place, fix=resume))
        effect = f"The outcome of {many(unknown, 'write')} is unknown; nothing was repeated. Settle it with: {resume}"
    elif stale:
        problems.append(
            Problem("stale", f"{many(stale, 'record')} changed on the target since the plan", place, fix=again)
        )
        effect = f"{stale + unsent:,} of {all_of_it:,} rows changed on the target and were not sent;"
        effect = f"{effect} plan them anew with: {again}"
        effect = f"{effect}. {rows}" if rows else effect
    elif summary.stopped is Exit.STALE:
        effect = f"{done} of {all_of_it} operations are applied and recorded; plan the rest anew with: {again}"
        effect = f"{effect}. {rows}" if rows else effect
    elif summary.stopped not in (Exit.OK, Exit.PARTIAL):
        effect = (
            f"{done} of {all_of_it} operations are applied and recorded"
            + (f"; continue with: {resume}" if done < all_of_it else ".")
            if done
            else NOTHING_WRITTEN
            if rejected
            else NOTHING_SENT
        )
        if not problems:
            problems.append(Problem("stopped", "the run was interrupted", place, fix=resume))
    elif not rejected + unsent:
        effect = f"{many(done, 'operation')} are applied and recorded; nothing is left."
    else:
        left = rejected + unsent
        were = "was" if left == 1 else "were"
        fix = f"correct them, then: syncengine retry {summary.run} --yes\nor look first: {again}"
        if needs_plan:
            fix = f"correct them, then: {again} -o FILE\nreview it, then: syncengine apply FILE"
        problems.append(
            Problem(
                "rejected",
                f"{many(left, 'operation')} {were} not applied",
                place,
                fix=fix,
            )
        )
        rest = "; the rest is" if done else ""
        effect = f"{left:,} of {many(all_of_it, 'operation')} {were} not applied{rest}. {rows}".rstrip()
    error = SyncError(problems, effect=effect)
    error.exit = summary.exit
    return error
