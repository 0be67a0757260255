"""One download of a paid image: its source, its progress and its possible outcomes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from ..core.jobs import JobName
from ..core.states import AttemptState
from ..ledger.values import Attempt, ImageRecord
from .result_links import Origin


class LinkSource(Protocol):
    """Where an attempt's images come from."""

    async def fresh_links(self, attempt: Attempt) -> list[str]:
        """The links that its task returns now; empty where it cannot be queried."""

    def origin(self, attempt: Attempt) -> Origin | None:
        """Its gateway's host and port."""

    def fetched(self, attempt: Attempt, whether: bool, in_time: bool = True) -> None:
        """Called once per image with whether the first tries fetched it, and again if a later try did;
        `in_time`: its link had not expired before the first try.
        """


class NoImage(Exception):
    """What a link returned instead; `for_good`: its store says that there will never be an image."""

    def __init__(self, why: str, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


class Elsewhere(Exception):
    """The link leads to a forbidden address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image in this run."""

    state: str  # archived, quarantined, expired, or delivered (not copied yet: it stays to be done)
    why: str = ""
    record: Callable[[Connection], AttemptState] | None = None  # writes the outcome to the ledger


@dataclass(slots=True)
class Fetch:
    """An image being fetched, and its progress."""

    name: JobName
    attempt: Attempt
    image: ImageRecord
    stem: str
    url: str = ""
    failures: int = 0
    undecodable: int = 0
    why: str = ""
    told: bool | None = None

    def __post_init__(self) -> None:
        self.url = self.image.url

    @property
    def dies_at(self) -> datetime:
        """When its link expires: as stated or documented, else a day after the gateway was seen to be done."""
        attempt, stated = self.attempt, self.image.expires_at
        begun = attempt.submitted_at or attempt.intent_at
        if stated is not None and stated > begun:  # an expiry before the task began does not count
            return stated
        return (attempt.completed_at or begun) + LIFE


def is_page(content: bytes | bytearray) -> bool:
    """Whether a store or an intermediary returned something other than an image: a page, an XML or JSON error, nothing."""
    begins = bytes(content[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")
    return not content or (begins.startswith((b"<", b"{")) and not begins.startswith(b"<svg"))


# Lifetime of a link without a stated or documented expiry.
LIFE = timedelta(hours=24)
