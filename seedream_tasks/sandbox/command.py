"""The command `seedream sandbox`."""

import json
import math
import sys
from pathlib import Path

import click

from seedream_tasks.sandbox import run_sandbox
from seedream_tasks.sandbox.config import SandboxConfig
from seedream_tasks.sandbox.faults import Fault, parse_faults
from seedream_tasks.sandbox.prices import price_list_yaml


def _number(value: str, what: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not {what}") from None
    if not 0 <= number < math.inf:
        raise click.BadParameter(f"{value} is not {what} from 0 up")
    return number


def _read_seconds(context: click.Context, option: click.Parameter, value: str) -> float:
    return _number(value, "a number of seconds")


def _read_estimate_error(context: click.Context, option: click.Parameter, value: str) -> float | None:
    return None if value.strip().lower() == "none" else _number(value, "a number (or none)")


def _read_faults(context: click.Context, option: click.Parameter, path: str | None) -> list[Fault]:
    if path is None:
        return []
    try:
        return parse_faults(_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from error


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 picks a free one.")
@click.option(
    "--seconds", callback=_read_seconds, default="2", show_default=True, metavar="S", help="How long a task takes."
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    help="SQLite file that survives restarts and kills. Default: kept in memory.",
)
@click.option(
    "--image-px",
    type=click.IntRange(16, 8192),
    help="Longest side of small images, for benchmarks. Default: the size that was asked for.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides faults and estimate errors.")
@click.option(
    "--estimate-error",
    callback=_read_estimate_error,
    default="0.2",
    show_default=True,
    metavar="FRACTION|none",
    help="Largest relative error of estimates; none: no estimates.",
)
@click.option(
    "--faults", callback=_read_faults, metavar="FILE", help="Fault list to start with, JSON or YAML. Default: none."
)
@click.option(
    "--allow-local-callbacks",
    is_flag=True,
    help="Accept callback URLs with http or private addresses. Default: https and public ones only.",
)
@click.option("--prices", is_flag=True, help="Print the sandbox's price list as a price file and exit. Default: serve.")
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
@click.option("--users", hidden=True)
def sandbox(
    host: str,
    port: int,
    seconds: float,
    state: str | None,
    image_px: int | None,
    seed: int,
    estimate_error: float | None,
    faults: list[Fault],
    allow_local_callbacks: bool,
    prices: bool,
    exit_with_stdin: bool,
    users: str | None,
) -> None:
    """Stand in for the gateways: same HTTP contract, real images, its own bill."""
    if prices:
        click.echo(price_list_yaml(), nl=False)
        return
    config = SandboxConfig(
        host=host,
        port=port,
        seconds=seconds,
        state=state,
        image_px=image_px,
        seed=seed,
        estimate_error=estimate_error,
        faults=[fault.as_given() for fault in faults],
        allow_local_callbacks=allow_local_callbacks,
        exit_with_stdin=exit_with_stdin,
        users=users,
    )
    sys.exit(run_sandbox(config))


def _load(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        import yaml  # only a file that is not JSON is worth its start-up time

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML: {error}") from error
