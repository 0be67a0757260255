"""`seedream cap`: standing daily caps over all runs of a ledger."""

from zoneinfo import ZoneInfo, available_timezones

import click

from ..config.pairing import open_pair
from ..config.settings import amount, known_locations
from ..core.errors import InputError
from ..core.market import market
from ..core.money import dollars, plain
from ..ledger import budgets
from . import options
from .terminal import print_json, say


@click.group()
def cap() -> None:
    """Standing caps: most that all runs of a ledger together may spend in a day."""


@cap.command("set")
@click.argument("usd")
@click.option("--gateway", metavar="NAME", help="Only at this gateway. Default: over all.")
@click.option(
    "--zone", default="UTC", show_default=True, metavar="ZONE", help="Whose midnight ends the day, as in Europe/Berlin."
)
@options.places
@options.as_json
def set_cap(usd: str, gateway: str | None, zone: str, archive: str | None, ledger: str | None, json_: bool) -> int:
    """Set a cap in USD a day, or take it off with `none`."""
    if gateway is not None and gateway not in market().gateways:
        raise InputError(market().why_not(gateway), field="gateway")
    if zone not in available_timezones():
        raise InputError(f"unknown time zone {zone!r}", field="zone", hint="a name such as UTC or Europe/Berlin")
    limit = None if usd.lower() == "none" else amount(usd, "usd")
    store = open_pair(known_locations(archive, ledger))
    try:
        store.write_now(
            lambda connection: budgets.set_cap(connection, gateway or budgets.ALL_GATEWAYS, limit, ZoneInfo(zone))
        )
        shown = store.read_now(budgets.list_caps)
    finally:
        store.close()
    _tell(shown, json_)
    return 0


@cap.command()
@options.places
@options.as_json
def show(archive: str | None, ledger: str | None, json_: bool) -> int:
    """Show the caps and what is held against them today."""
    store = open_pair(known_locations(archive, ledger), create=False, migrates=False)
    try:
        shown = store.read_now(budgets.list_caps)
    finally:
        store.close()
    _tell(shown, json_)
    return 0


def _tell(shown: list[budgets.StandingCap], json_: bool) -> None:
    if json_:
        caps = [
            {
                "gateway": None if each.cap_key == budgets.ALL_GATEWAYS else each.cap_key,
                "usd_per_day": plain(each.usd_per_day),
                "zone": each.zone,
                "day": each.day,
                "reserved_usd": plain(each.reserved_usd),
                "settled_usd": plain(each.settled_usd),
            }
            for each in shown
        ]
        print_json({"caps": caps})
        return
    for each in shown:
        say(
            f"{each.cap_key:<8} {dollars(each.usd_per_day)} a day ({each.zone}); on {each.day}"
            f" {dollars(each.settled_usd)} spent or at risk, {dollars(each.reserved_usd)} reserved"
        )
    if not shown:
        say("no standing caps")
