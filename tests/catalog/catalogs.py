"""Small catalogs, and what the planner makes of them when there is no ledger and nothing may be fetched."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from on_offer import BY_OFFER, GATEWAYS

from seedream_tasks.catalog.tables import Row, open_table
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.errors import InputError
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.shots import parse_shots
from seedream_tasks.planning.planner import Planner
from seedream_tasks.references.reader import References
from seedream_tasks.runs.frozen import FrozenRecord

CAPABILITIES = {
    gateway: {model: row for (owner, model), row in BY_OFFER.items() if owner == gateway} for gateway in GATEWAYS
}


def write(path: Path, content: str | bytes) -> Path:
    """A file with exactly these bytes."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path: Path | str) -> list[Row]:
    """All rows of a catalog."""
    return list(open_table(str(path)).rows)


def refused(path: Path | str) -> InputError:
    """The error that reading all of it ends with."""
    with pytest.raises(InputError) as caught:
        rows(path)
    return caught.value


def cells(path: Path | str) -> list[list[str]]:
    """The text cells of all rows."""
    return [row.cells for row in rows(path)]


def plan(path: Path | str, shots: str | None = None, **options: Any) -> list[FrozenRecord]:
    """Every record of a catalog as a forecast plans it; `shots` is a shot list's text, None is column mode."""
    references = References(str(path))
    told, wanted = RunOptions(str(path), **options), None if shots is None else parse_shots(shots)
    prices = PriceBook.for_run(simulated=True)
    try:
        planner = Planner(open_table(str(path)), told, wanted, references, CAPABILITIES, prices, None, fetch=False)
        return [planned.record for planned in planner.plan()]
    finally:
        references.close()


def told(records: Iterable[FrozenRecord]) -> list[tuple[str | None, str | None, str]]:
    """Key, what is settled already, and the reason of each record."""
    return [(record.row_key, record.settled, record.reason.value) for record in records]


def prompts(records: Iterable[FrozenRecord]) -> dict[str | None, str]:
    """The rendered prompt of each key."""
    return {record.row_key: record.job.prompt for record in records if record.job}
