"""`seedream`: the console script. Exit codes: 0 complete, 3 incomplete, 2 wrong input and nothing spent, 1 a fault."""

import importlib
import logging
import os
import sys
from typing import NoReturn

import click

from ..core.errors import InputError, SeedreamError
from ..version import __version__
from .broken_output import GuardedOutput
from .terminal import print_json, say

# Command -> its module, imported when called: only `run` needs Prefect, which takes seconds to import.
_COMMANDS = {
    "new": "seedream_tasks.cli.new",
    "check": "seedream_tasks.cli.check",
    "run": "seedream_tasks.cli.run_entry",
    "plan": "seedream_tasks.cli.plan",
    "collect": "seedream_tasks.cli.collect",
    "attempts": "seedream_tasks.cli.attempts",
    "resolve": "seedream_tasks.cli.resolve",
    "cap": "seedream_tasks.cli.cap",
    "gateways": "seedream_tasks.cli.gateways",
    "ledger": "seedream_tasks.cli.ledger",
    "review": "seedream_tasks.cli.review",
    "sandbox": "seedream_tasks.sandbox.command",
    "serve": "seedream_tasks.cli.serve",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seedream")
def seedream() -> None:
    """Turn a product catalog into Seedream images; never pay twice, lose nothing, know the cost."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    if any(name.upper().startswith("SEEDREAM_") for name in os.environ):
        from ..config.environment import unknown_variables  # pydantic takes a third of a second to import

        for line in unknown_variables(os.environ):
            say(f"WARNING {line}", err=True)


def main() -> NoReturn:
    """Run the command line. Errors become one line (with --json one object) and an exit code."""
    if sys.stdout is not sys.__stdout__:
        _run()  # the caller captures the output
    output = GuardedOutput()
    try:
        _run()
    finally:
        output.finish()


def _run() -> NoReturn:
    as_json = "--json" in sys.argv
    try:
        result = seedream.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        if not as_json:
            _tell_usage(error)
        else:
            tell(InputError(error.format_message(), code="usage"), as_json)
        sys.exit(2)
    except SeedreamError as error:
        tell(error, as_json)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # unexpected: still reported in one line, in full with SEEDREAM_DEBUG
        if _is_debugging():
            raise
        tell(
            SeedreamError(f"{type(error).__name__}: {error}", hint="SEEDREAM_DEBUG=1 shows where it came from"), as_json
        )
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


def _is_debugging() -> bool:
    from ..config.environment import Environment

    try:
        return Environment().debug
    except SeedreamError:  # about another variable, which is not what went wrong
        return False


def tell(error: SeedreamError, as_json: bool) -> None:
    """Say what went wrong: one line with its hint, or one object."""
    if as_json:
        print_json({"error": error.as_json()})
    else:
        hint = error.facts.get("hint")
        say(f"Error: {error.message}", err=True)
        if hint:
            say(f"  {hint}", err=True)


def _tell_usage(error: click.ClickException) -> None:
    """What was typed may come from a file's name: it is told as anything else."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n", err=True)
    say(f"Error: {error.format_message()}", err=True)


if __name__ == "__main__":
    main()
