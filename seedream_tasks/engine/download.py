"""One download of a paid image: what it is for, and what may come of it."""

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
    """What is known of where an attempt's images come from."""

    async def fresh_links(self, attempt: Attempt) -> list[str]:
        """The links that its task gives out now; none where it cannot be asked."""

    def origin(self, attempt: Attempt) -> Origin | None:
        """Where its gateway is."""

    def fetched(self, attempt: Attempt, whether: bool, in_time: bool = True) -> None:
        """Told of every image once whether it could be fetched at the first tries, and again when it could be after all;
        `in_time`: its link had not reached its end before anybody tried it.
        """


class NoImage(Exception):
    """What a link gave instead; `for_good`: its store says that there will be nothing."""

    def __init__(self, why: str, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


class Elsewhere(Exception):
    """The link leads where none may."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an image in this run."""

    state: str  # archived, quarantined, expired, or delivered (not copied yet: it stays to be done)
    why: str = ""
    record: Callable[[Connection], AttemptState] | None = None  # what the ledger is to be told of it


@dataclass(slots=True)
class Fetch:
    """An image that is being fetched, and how that goes."""

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
        """When its link has no life left: as stated or documented, else a day after the gateway was seen to be done."""
        attempt, stated = self.attempt, self.image.expires_at
        begun = attempt.submitted_at or attempt.intent_at
        if stated is not None and stated > begun:  # an end before the task began is none
            return stated
        return (attempt.completed_at or begun) + LIFE


def is_page(content: bytes | bytearray) -> bool:
    """Whether this is what stores and those in between put in an image's place: a page, an error in XML or JSON, nothing."""
    begins = bytes(content[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")
    return not content or (begins.startswith((b"<", b"{")) and not begins.startswith(b"<svg"))


# A link without a stated or documented end lives this long.
LIFE = timedelta(hours=24)
