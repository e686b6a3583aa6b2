"""The command line: one file per command. Parse, call the pipeline, print a report, exit.

A command is imported when it is called, so `--help` stays quick.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import click

from syncengine import __version__
from syncengine.cli.complaints import complain, crashed, give_up_output, of_the_machine
from syncengine.errors import NOTHING_SENT, Exit, Problem, SpecError, SyncError

COMMANDS = {
    "init": "Start a project, or a first spec from a file's header.",
    "validate": "Check specs offline.",
    "test": "Run the tests that specs bring along.",
    "plan": "Ask the target what would change, and write that down.",
    "explain": "Follow one record from its row to what became of it.",
    "show": "Show a plan or a run.",
    "apply": "Do exactly what a plan says.",
    "sync": "Plan and apply in one go, for cron.",
    "resume": "Go on with a run that was interrupted.",
    "retry": "Plan and apply what a run left behind.",
    "report": "Tell what a run did, and what is left of it.",
    "status": "Tell what is open, what ran, how far sources were read.",
    "unlock": "Let go of the lock of a run whose process is gone.",
    "extract": "Bring tables of an instance up to date in DuckDB, or elsewhere.",
    "doctor": "Examine an environment: what is wrong, and what to ask the admin for.",
    "graph": "Draw the steps and what they need of each other.",
    "sandbox": "Serve, seed, pull and reset the embedded ServiceNow and 4me.",
    "schema": "Show what a class has; write the JSON Schema of the YAML files.",
}


CIRCLES = (50_000, 20, 50)
"""When circles are looked for: rows, records and operations hold none; after every 700 it costs a fifth of a run."""


class Commands(click.Group):
    """Knows its commands by name and one sentence; imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, from the file of its name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that is nearly right."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib  # only on this path

            near = difflib.get_close_matches(name, COMMANDS, 1)
            raise click.UsageError(f'no command "{name}"' + (f', did you mean "{near[0]}"?' if near else ""), ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, "-V", "--version", message="%(version)s")
def cli() -> None:
    """Sync files and tables into ServiceNow and 4me (Xurrent), as YAML specs say.

    \b
    syncengine init --from export.csv   begin here: a project and a first spec
    syncengine validate                 are the specs right?
    syncengine plan -o today.plan       what would change?
    syncengine show today.plan          read it again, as text, JSON, a page …
    syncengine apply today.plan --yes   do exactly that

    Without --env everything runs against the sandbox, an offline ServiceNow and 4me that is started when it is needed.

    Exit codes: 0 done, 2 changes (plan --detailed-exitcode), 3 spec, 4 source, 5 login, 6 server, 7 some rows
    rejected, 8 stale, 9 locked, 10 a guard said no, 11 state damaged, 12 outcome unknown.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit class."""
    os.umask(0o077)
    _open_streams()
    gc.set_threshold(*CIRCLES)
    if crash_at := os.environ.get("CRASH_AT"):
        from syncengine import files  # only in tests

        files.arm(crash_at)
    code = run(arguments)
    # Python would look for circles among all that was ever imported before it ends: a fifth of a short command.
    gc.freeze()
    sys.exit(code)


def _open_streams() -> None:
    """No file of ours may get the number of a stream that was closed (`>&-`), and no text may be unprintable."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  # for as long as the process lives
    sys.stderr = sys.stderr or sys.stdout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit class. No traceback ever reaches the user."""
    try:
        result: Any = cli.main(args=arguments, prog_name="syncengine", standalone_mode=False)
        return int(result or 0)
    except SyncError as error:
        complain(error)
        return int(error.exit)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return int(Exit.OK)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "syncengine"
        problem = Problem("usage", error.format_message().rstrip("."), command, fix=f"{command} --help")
        complain(SpecError(problem, effect=NOTHING_SENT))
        return int(Exit.SPEC)
    except click.ClickException as error:
        complain(SpecError(Problem("usage", error.format_message(), "")))
        return int(Exit.SPEC)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); what was done is done.
        give_up_output()
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a report instead of a traceback
        refused = of_the_machine(error, next(iter(sys.argv[1:] if arguments is None else arguments), ""))
        if refused is None:
            return crashed(error)
        complain(refused)
        return int(refused.exit)
