"""Writing the frozen run: the planner's records into `runs/<run_id>/jobs.parquet`, in one step, before anything is bought."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..catalog.presets import fitting_preset
from ..catalog.tables import Facts, open_table
from ..config.settings import read_text, references_of
from ..core.addresses import check_address
from ..core.capabilities import Capability
from ..core.errors import InputError
from ..core.market import market
from ..core.price_book import PriceBook
from ..core.secrets import without_secrets
from ..core.shots import parse_shots
from ..ledger.writer import Ledger
from ..references.places import scheme
from ..references.reader import References
from ..runs.frozen import FrozenRun, FrozenWriter, frozen_path
from ..storage.archive import Archive
from .forecast import Forecast
from .image_presence import Presence
from .planner import Planned, Planner, Wishes, digest
from .refusals import Refusals
from .shrunken_catalog import LastKeys
from .stages import enter

logger = logging.getLogger("seedream_tasks.planning")

_TOLD_EVERY = 512  # records


@dataclass(frozen=True)
class Request:
    """What a user asks for: the catalog, the shots, and how to read them."""

    catalog: str
    shots: str | None = None
    preset: str | None = None
    key: str | None = None
    model: str | None = None
    edition: str | None = None
    only: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    max_premium: Decimal | None = None
    catalog_digest: str | None = None  # sha256 (hex) the catalog must have
    limit: int | None = None  # products to buy for in this run

    def wishes(self) -> tuple[Wishes, str]:
        """The checked wishes and the shot list's text. Raises InputError."""
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit is a number of products from 1 on, not {self.limit}", field="limit")
        check_address(self.catalog, "catalog")
        check_address(self.shots or "", "shots")
        defaults: dict[str, Any] = {}
        if self.model is not None:
            if self.model not in market().models:
                raise InputError(f"--model: {self.model!r} is not one of {', '.join(market().models)}", field="model")
            defaults["model"] = self.model
        if self.edition:
            defaults["edition"] = self.edition
        text = read_text(self.shots, "shots") if self.shots else ""
        return (
            Wishes(
                shots=parse_shots(text, defaults, self.shots or "") if self.shots else None,
                defaults=defaults,
                preset=self.preset,
                key=self.key,
                only=frozenset(self.only),
                retry=self.retry,
                max_premium=self.max_premium,
                limit=self.limit,
            ),
            text,
        )


def check(request: Request) -> int | None:
    """Read shot list and catalog, so that a mistake is told before anything is started for it. Returns the number of rows; None
    for a catalog elsewhere, which is fetched once only. Raises InputError.
    """
    wishes, _ = request.wishes()
    references = references_of(request.catalog)
    try:
        planner = Planner(open_table(request.catalog), wishes, references, {}, PriceBook(()), None, fetch=False)
        return planner.count() if scheme(request.catalog) in ("", "file") else None
    finally:
        references.close()


def documented(names: tuple[str, ...]) -> dict[str, dict[str, Capability]]:
    """The capability rows of these gateways, by model."""
    return {name: market().rows_of(name) for name in names}


@dataclass(frozen=True)
class Understood:
    """What a forecast made of a catalog, to be looked at before anyone pays."""

    facts: Facts
    warnings: list[str]
    columns: list[str]
    preset: str | None
    fits: str | None  # the preset these columns look like, where none was given
    key: str | None  # the key column; None: the preset's
    first: list[Planned]  # the first that were rendered
    refused: Refusals  # why records are invalid
    names: list[tuple[str, str]]  # that templates may use, each with the column it comes from; a preset's own have none


def forecast(
    request: Request,
    capabilities: Mapping[str, Mapping[str, Capability]],
    prices: PriceBook,
    archive: Archive,
    ledger: Ledger | None,
    max_usd: Decimal | None,
    show: int = 0,
) -> tuple[Forecast, Understood]:
    """Walk the catalog without fetching or writing anything; also what was understood, with the first `show` prompts.

    Raises InputError.
    """
    wishes, _ = request.wishes()
    references = references_of(request.catalog)
    figures = Forecast(max_usd)
    last_keys = LastKeys(archive)
    first: list[Planned] = []
    refused = Refusals()
    try:
        table = open_table(request.catalog)
        planner = Planner(table, wishes, references, capabilities, prices, ledger, fetch=False)
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
    fits = fitting_preset(table.columns) if request.preset is None else None
    return figures, Understood(
        table.facts,
        planner.warnings,
        table.columns,
        request.preset,
        fits,
        planner.key_column,
        first,
        refused,
        planner.names,
    )


def freeze(
    request: Request,
    run_id: str,
    archive: Archive,
    ledger: Ledger,
    references: References,
    capabilities: Mapping[str, Mapping[str, Capability]],
    prices: PriceBook,
    prices_text: str,
    max_usd: Decimal | None,
) -> Forecast:
    """Write the frozen run and return its forecast; a run that is frozen already stays as it is. Raises InputError."""
    if archive.exists(frozen_path(run_id)):
        frozen = FrozenRun(archive, run_id)
        stated = frozen.metadata()
        frozen.close()
        return Forecast.from_kept(stated["forecast"], max_usd)
    wishes, shots_text = request.wishes()
    table = open_table(request.catalog)
    presence = Presence(ledger, archive)
    planner = Planner(table, wishes, references, capabilities, prices, ledger, fetch=True, presence=presence)
    said = len(planner.warnings)
    for warning in planner.warnings:
        logger.warning("%s", warning)
    figures = Forecast(max_usd)
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
            _check_digest(request, table.sha256)
            writer.metadata = {
                "run_id": run_id,
                "rows": str(planner.rows),
                "catalog_uri": without_secrets(request.catalog),
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


def _check_digest(request: Request, found: str) -> None:
    if request.catalog_digest and request.catalog_digest.removeprefix("sha256:").lower() != found:
        raise InputError(
            f"{request.catalog} is another file than was announced: its sha256 is {found}, not {request.catalog_digest}",
            field="catalog_digest",
            code="catalog_changed",
        )
