"""Writes the frozen run: the planner's records into `runs/<run_id>/jobs.parquet`, atomically, before anything is bought."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..catalog.presets import fitting_preset
from ..catalog.tables import Facts, open_table
from ..config.run_options import RunOptions
from ..config.settings import references_of
from ..core.capabilities import Capability
from ..core.errors import InputError
from ..core.market import market
from ..core.price_book import PriceBook
from ..core.secrets import without_secrets
from ..ledger.writer import Ledger
from ..references.places import scheme
from ..references.reader import References
from ..runs.frozen import FrozenRun, FrozenWriter, frozen_path
from ..storage.archive import Archive
from .forecast import Forecast
from .image_presence import Presence
from .planner import Planned, Planner, digest
from .refusals import Refusals
from .shrunken_catalog import LastKeys
from .stages import enter

logger = logging.getLogger("seedream_tasks.planning")

_TOLD_EVERY = 512  # records


def check(options: RunOptions) -> int | None:
    """Read shot list and catalog, so that a mistake is reported before anything is started. Returns the number of rows; None
    for a remote catalog, which is fetched only once. Raises InputError.
    """
    shots, _ = options.shot_list()
    references = references_of(options.catalog)
    try:
        planner = Planner(open_table(options.catalog), options, shots, references, {}, PriceBook(()), None, fetch=False)
        return planner.count() if scheme(options.catalog) in ("", "file") else None
    finally:
        references.close()


def documented(names: tuple[str, ...]) -> dict[str, dict[str, Capability]]:
    """These gateways' capability rows, by model."""
    return {name: market().rows_of(name) for name in names}


@dataclass(frozen=True)
class Understood:
    """How a forecast read a catalog, for review before anyone pays."""

    facts: Facts
    warnings: list[str]
    columns: list[str]
    preset: str | None
    fits: str | None  # the preset that these columns match, if none was given
    key: str | None  # the key column; None: the preset's
    first: list[Planned]  # the first rendered records
    refused: Refusals  # why records are invalid
    names: list[tuple[str, str]]  # names that templates may use, each with its column; a preset's own have none


def forecast(
    options: RunOptions,
    capabilities: Mapping[str, Mapping[str, Capability]],
    prices: PriceBook,
    archive: Archive,
    ledger: Ledger | None,
    show: int = 0,
) -> tuple[Forecast, Understood]:
    """Read the catalog without fetching or writing anything; also returns how it was read, with the first `show` prompts.

    Raises InputError.
    """
    shots, _ = options.shot_list()
    references = references_of(options.catalog)
    figures = Forecast(options.max_usd)
    last_keys = LastKeys(archive)
    first: list[Planned] = []
    refused = Refusals()
    try:
        table = open_table(options.catalog)
        planner = Planner(table, options, shots, references, capabilities, prices, ledger, fetch=False)
        for planned in planner.plan():
            figures.add(planned)
            last_keys.see(planned.record.row_key)
            if planned.record.settled is None and len(first) < show:
                first.append(planned)
            refused.see(planned.record)
            if figures.records % _TOLD_EVERY == 0:
                enter("planning", done=planner.rows)
    finally:
        references.close()
    figures.rows = planner.rows
    figures.shrunk = last_keys.shrunk()
    fits = fitting_preset(table.columns) if options.preset is None else None
    return figures, Understood(
        table.facts,
        planner.warnings,
        table.columns,
        options.preset,
        fits,
        planner.key_column,
        first,
        refused,
        planner.names,
    )


def freeze(
    options: RunOptions,
    run_id: str,
    archive: Archive,
    ledger: Ledger,
    references: References,
    capabilities: Mapping[str, Mapping[str, Capability]],
    prices: PriceBook,
    prices_text: str,
) -> Forecast:
    """Write the frozen run and return its forecast; an already frozen run is left unchanged. Raises InputError."""
    if archive.exists(frozen_path(run_id)):
        frozen = FrozenRun(archive, run_id)
        stated = frozen.metadata()
        frozen.close()
        return Forecast.from_kept(stated["forecast"], options.max_usd)
    shots, shots_text = options.shot_list()
    table = open_table(options.catalog)
    presence = Presence(ledger, archive)
    planner = Planner(table, options, shots, references, capabilities, prices, ledger, fetch=True, presence=presence)
    said = len(planner.warnings)
    for warning in planner.warnings:
        logger.warning("%s", warning)
    figures = Forecast(options.max_usd)
    last_keys = LastKeys(archive)
    refusals = Refusals()
    enter("planning")
    with tempfile.TemporaryDirectory(prefix="seedream-") as folder:
        target = Path(folder, "jobs.parquet")
        with FrozenWriter(target, table.schema) as writer:
            for planned in planner.plan():
                figures.add(planned)
                last_keys.see(planned.record.row_key)
                writer.write(planned.record)
                refusals.see(planned.record)
                if figures.records % _TOLD_EVERY == 0:
                    enter("planning", done=planner.rows)
            figures.rows = planner.rows
            figures.shrunk = last_keys.shrunk()
            _check_digest(options, table.sha256)
            writer.metadata = {
                "run_id": run_id,
                "rows": str(planner.rows),
                "catalog_uri": without_secrets(options.catalog),
                "catalog_sha256": table.sha256,
                "shots_sha256": digest(shots_text),
                "prices_sha256": digest(prices_text),
                "forecast": figures.kept(),
            }
        archive.publish(frozen_path(run_id), target)
    presence.tell()
    for reason in refusals.lines():
        enter("invalid", reason.removeprefix("invalid: "))
    for warning in planner.warnings[said:]:
        logger.warning("%s", warning)
    if figures.shrunk is not None:
        logger.warning("%s", figures.shrunk)
    return figures


def _check_digest(options: RunOptions, found: str) -> None:
    if options.catalog_digest and options.catalog_digest.removeprefix("sha256:").lower() != found:
        raise InputError(
            f"{options.catalog} is another file than was announced: its sha256 is {found}, not {options.catalog_digest}",
            field="catalog_digest",
            code="catalog_changed",
        )
