"""Faults: what the sandbox should do wrong, where, at which gateway and how often.

A list of entries, tried in order. An entry fits by gateway, by a text in the prompt and by place; each that fits
draws its own rate, the first that wins fires. Draws depend on nothing but the seed, the entry's place in the list and
how often it has drawn, so a run with one client can be repeated exactly, also over a restart.
"""

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from seedream_tasks.sandbox.prices import gateways

# kind -> the place where it strikes.
PLACES: dict[str, str] = {
    "refuse_connection": "submit",
    "reject_429": "submit",
    "http_503": "submit",
    "reject_401": "submit",
    "reject_402": "submit",
    "reject_model": "submit",
    "reject_content": "submit",
    "http_500": "submit",
    "http_502": "submit",
    "drop_request": "submit",
    "http_502_accepted": "submit",
    "drop_response": "submit",
    "garbage_json": "submit",
    "status_500": "status",
    "status_garbage": "status",
    "status_429": "status",
    "surrogate": "status",
    "slow": "task",
    "stuck": "task",
    "task_failed": "task",
    "task_cancelled": "task",
    "task_failed_billed": "task",
    "fewer_images": "task",
    "other_price": "task",
    "other_model": "task",
    "download_500": "download",
    "expired_link": "download",
    "corrupt_image": "download",
    "wrong_type": "download",
    "huge_image": "download",
    "no_callback": "callback",
    "duplicate_callback": "callback",
    "late_callback": "callback",
    "forged_callback": "callback",
}

# Kinds whose value is a number of seconds, at least 0.
_SECONDS = {"refuse_connection", "reject_429", "http_503", "status_429", "slow", "late_callback"}
_FIELDS = {"gateway", "kind", "match", "rate", "count", "value"}


class FaultError(ValueError):
    """A fault list that cannot be used; the message names the entry and the field."""


@dataclass(slots=True)
class Fault:
    """One entry of the list, and how often it was tried."""

    gateway: str
    """A gateway's name, or `*`."""
    kind: str
    match: str | None
    """Text that the prompt must contain; None: any prompt."""
    rate: float
    """Chance of firing, 0 to 1."""
    count: int | None
    """How many times it fires at most; None: no limit."""
    value: object
    position: int
    """Its place in the list, from 0."""
    draws: int = 0
    fired: int = 0

    def as_given(self) -> dict[str, object]:
        """The entry as `PUT /sandbox/faults` takes it."""
        return {name: getattr(self, name) for name in ("gateway", "kind", "match", "rate", "count", "value")}

    def fits(self, place: str, gateway: str, prompt: str) -> bool:
        """Whether the entry matches this place, gateway and prompt, and has firings left."""
        return (
            PLACES[self.kind] == place
            and self.gateway in ("*", gateway)
            and (self.match is None or self.match in prompt)
            and (self.count is None or self.fired < self.count)
        )


class FaultBook:
    """The current list of faults."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults: list[Fault] = []
        self.generation = 0
        """Counts the lists, so that "drawn once" distinguishes entries at the same place of different lists."""

    def __bool__(self) -> bool:
        return bool(self._faults)

    def replace(self, entries: object) -> None:
        """Replace the list; raises FaultError and changes nothing if the new one is invalid."""
        self._faults = parse_faults(entries)
        self.generation += 1

    def draw(
        self, place: str, gateway: str, prompt: str, *, without: Collection[int] = ()
    ) -> tuple[Fault | None, list[int]]:
        """Try the entries in order; returns the one that fires, if any, and the positions of all that drew.

        `without`: positions that do not take part (entries that this image has drawn already).
        """
        drew: list[int] = []
        for fault in self._faults:
            if fault.position in without or not fault.fits(place, gateway, prompt):
                continue
            drew.append(fault.position)
            if self._wins(fault):
                fault.fired += 1
                return fault, drew
        return None, drew

    def first(self, place: str, gateway: str, prompt: str) -> Fault | None:
        """The fault that fires here, or None."""
        return self.draw(place, gateway, prompt)[0]

    def positions(self, kinds: Collection[str]) -> set[int]:
        """The positions of entries of these kinds in the list."""
        return {fault.position for fault in self._faults if fault.kind in kinds}

    def as_given(self) -> list[dict[str, object]]:
        """The list as it was put."""
        return [fault.as_given() for fault in self._faults]

    def snapshot(self) -> dict[str, object]:
        """A snapshot for a restart."""
        return {
            "generation": self.generation,
            "entries": self.as_given(),
            "counters": [[fault.draws, fault.fired] for fault in self._faults],
        }

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Continue from a snapshot."""
        self._faults = parse_faults(snapshot["entries"])
        counters = snapshot["counters"]
        assert isinstance(counters, list)  # noqa: S101 - written by snapshot()
        for fault, (draws, fired) in zip(self._faults, counters, strict=True):
            fault.draws, fault.fired = draws, fired
        generation = snapshot["generation"]
        assert isinstance(generation, int)  # noqa: S101 - written by snapshot()
        self.generation = generation

    def _wins(self, fault: Fault) -> bool:
        label = f"{self._seed}/{fault.position}/{fault.kind}/{fault.draws}".encode()
        fault.draws += 1
        number = int.from_bytes(hashlib.blake2b(label, digest_size=8).digest(), "big")
        return number / 2**64 < fault.rate


def parse_faults(entries: object) -> list[Fault]:
    """Check a fault list; raises FaultError that names what is wrong where."""
    if not isinstance(entries, list | tuple):
        raise FaultError("the fault list must be a list of entries")
    return [_parse_entry(position, entry) for position, entry in enumerate(entries)]


def _parse_entry(position: int, entry: object) -> Fault:
    where = f"fault {position}"
    if not isinstance(entry, Mapping):
        raise FaultError(f"{where}: must be an object")
    unknown = sorted(str(name) for name in set(entry) - _FIELDS)
    if unknown:
        raise FaultError(f"{where}: unknown field {unknown[0]!r}; known: {', '.join(sorted(_FIELDS))}")
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in PLACES:
        raise FaultError(f"{where}: unknown kind {kind!r}; known: {', '.join(PLACES)}")
    gateway = entry.get("gateway", "*")
    if gateway != "*" and gateway not in gateways():
        raise FaultError(f"{where}: unknown gateway {gateway!r}; known: *, {', '.join(gateways())}")
    match = entry.get("match")
    if match is not None and not isinstance(match, str):
        raise FaultError(f"{where}: match must be text or null")
    rate = entry.get("rate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise FaultError(f"{where}: rate must be a number from 0 to 1")
    count = entry.get("count")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise FaultError(f"{where}: count must be a whole number or null")
    value = entry.get("value")
    _check_value(where, kind, value)
    return Fault(str(gateway), kind, match, float(rate), count, value, position)


def _check_value(where: str, kind: str, value: object) -> None:
    if value is None:
        return
    if kind in _SECONDS and not (_is_number(value) and float(str(value)) >= 0):
        raise FaultError(f"{where}: the value of {kind} is a number of seconds, at least 0")
    if kind == "fewer_images" and not (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        raise FaultError(f"{where}: the value of fewer_images is how many images are made")
    if kind == "other_price" and not _is_amount(value):
        raise FaultError(f"{where}: the value of other_price is the USD charged per image")
    if kind == "other_model" and not (isinstance(value, str) and value):
        raise FaultError(f"{where}: the value of other_model is a model's name")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_amount(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return False
    return amount.is_finite() and amount >= 0
