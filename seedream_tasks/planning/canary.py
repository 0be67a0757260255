"""Selects a few records of every category for review before the rest is bought."""

from collections import defaultdict
from decimal import Decimal

from ..core.money import ZERO
from ..runs.frozen import FrozenRun

# Column names of a product's category in exports, normalized: lower case, underscores as blanks.
CATEGORY_COLUMNS = ("category", "type", "product category", "product type", "google product category", "categories")
ROWS_PER_CATEGORY = 2
MOST_RECORDS = 40


def canary(frozen: FrozenRun, most_usd: Decimal) -> list[int]:
    """Positions of the first records that would be bought in each category, at most `most_usd` by their forecasts."""
    column = _category_column(frozen.catalog_columns)
    rows: dict[str, set[int]] = defaultdict(set)  # category -> row numbers
    found: list[int] = []
    spent, position = ZERO, 0
    names = ["row_number", "_settled", "_selected", "_forecast_usd", *([column] if column else [])]
    for batch in frozen.batches():
        for record in batch.select(names).to_pylist():
            position += 1
            usd = record["_forecast_usd"]
            if record["_settled"] is not None or not record["_selected"] or not usd:
                continue
            taken = rows[str(record[column]) if column else ""]
            if record["row_number"] not in taken and len(taken) >= ROWS_PER_CATEGORY:
                continue
            if spent + usd > most_usd:
                continue
            taken.add(record["row_number"])
            spent += usd
            found.append(position - 1)
            if len(found) >= MOST_RECORDS:
                return found
    return found


def _category_column(columns: list[str]) -> str | None:
    spelled = {name.lower().replace("_", " "): name for name in reversed(columns)}
    return next((spelled[name] for name in CATEGORY_COLUMNS if name in spelled), None)
