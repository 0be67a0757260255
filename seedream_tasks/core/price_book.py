"""The price rows in force for a run: the gateways', the stand-ins', and the user's own price file.

What no source prices is not bought: `PriceBook.row` returns None for it.
"""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from .errors import BadValue, InputError
from .market import market
from .money import stated
from .pricing import EVERY_TIER, PriceRow
from .sizes import TIERS
from .yaml_text import read_yaml

# Far above any price, and far enough below the largest amount that no sum over a job reaches it.
MOST_PER_IMAGE = Decimal(10_000)


class PriceBook:
    """The rows in force for one run: ours, the sandbox's for a simulated run, and the user's above both."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._rows = {(row.gateway, row.model, row.tier): row for row in rows}

    @classmethod
    def for_run(cls, simulated: bool, user_rows: Iterable[PriceRow] = ()) -> "PriceBook":
        """Rows for a real or a simulated run. A user's row replaces every row of ours that it covers."""
        built_in = (*market().prices, *(market().sandbox_prices if simulated else ()))
        rows = {(row.gateway, row.model, row.tier): row for row in built_in}
        for row in user_rows:
            if row.tier == EVERY_TIER:
                rows = {key: kept for key, kept in rows.items() if key[:2] != (row.gateway, row.model)}
        rows.update({(row.gateway, row.model, row.tier): row for row in user_rows})
        return cls(rows.values())

    def __iter__(self) -> Any:
        return iter(self._rows.values())

    def row(self, gateway: str, model: str, tier: str | None) -> PriceRow | None:
        """The row for an image; None when it has no price. Explicit pixels (tier None) take the dearest tier's row."""
        if tier is not None:
            return self._rows.get((gateway, model, tier)) or self._rows.get((gateway, model, EVERY_TIER))
        offered = [row for row in (self.row(gateway, model, each) for each in (*TIERS, EVERY_TIER)) if row]
        return max(offered, key=lambda row: (row.usd, row.highest_usd), default=None)


def read_price_file(text: str, as_of: date, what: str = "price file") -> list[PriceRow]:
    """Parse `{GATEWAY: {MODEL: {TIER: {usd: 0.031, credits: 2.25}}}}`; `as_of` is the file's date. Raises InputError."""
    tree, offered = read_yaml(text, what), market()
    if not isinstance(tree, dict):
        first = next(iter(offered.prices))
        example = f"{first.gateway}: {{{first.model}: {{'{EVERY_TIER}': {{usd: {first.usd}}}}}}}"
        raise InputError(f"{what}: expected gateways at the top, as in `{example}`")
    rows: list[PriceRow] = []
    for gateway, models in tree.items():
        if gateway not in offered.gateways:
            raise InputError(f"{what}: {offered.why_not(gateway)}", field=str(gateway))
        for model, tiers in _children(models, what, gateway):
            if model not in offered.models:
                raise InputError(
                    f"{what}: unknown model {model!r}; known: {', '.join(offered.models)}", field=f"{gateway}.{model}"
                )
            for tier, price in _children(tiers, what, f"{gateway}.{model}"):
                field = f"{gateway}.{model}.{tier}"
                if tier not in (*TIERS, EVERY_TIER):
                    raise InputError(f"{what}: {field}: a tier is one of {', '.join(TIERS)} or *", field=field)
                row = _user_row(gateway, model, tier, dict(_children(price, what, field)), as_of, what, field)
                # A list may price what no gateway sells; it is never used.
                if (gateway, model) in offered.by_offer:
                    rows.append(row)
    return rows


def _children(node: Any, what: str, field: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(node, dict):
        raise InputError(f"{what}: {field} must be a mapping, not {node!r}", field=field)
    return node.items()


def _user_row(
    gateway: str, model: str, tier: str, price: dict[str, Any], as_of: date, what: str, field: str
) -> PriceRow:
    unknown = sorted(set(price) - {"usd", "credits"})
    if unknown:
        raise InputError(f"{what}: {field}: unknown {', '.join(unknown)}; a price has usd and credits", field=field)
    if "usd" not in price:
        raise InputError(f"{what}: {field}: usd is missing", field=field)
    amounts = {}
    for name, value in price.items():
        try:
            amounts[name] = stated(value, MOST_PER_IMAGE, "a price per image")
        except BadValue as error:
            raise InputError(f"{what}: {field}.{name}: {error}", field=f"{field}.{name}") from None
    if not amounts["usd"]:
        # Free images would be bought under any cap.
        raise InputError(f"{what}: {field}.usd: a price is above 0, not {price['usd']}", field=f"{field}.usd")
    return PriceRow(gateway, model, tier, amounts["usd"], amounts.get("credits"), what, as_of)
