"""What a gateway accepts for a model: the row type, every limit with its source. The rows are in the gateways' folders.

Sources name the gateway's own document ("page" is its product or API page, "API reference" its OpenAPI text, "SDK" its
published client). Where documents disagree the parameter table wins over prose, and the lower number over the higher one,
because a refused job costs nothing and an accepted one does.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from .sizes import PixelRange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limit(Generic[T]):
    """One limit and the document that states it."""

    value: T
    source: str


class Transport(StrEnum):
    """How a reference reaches the gateway."""

    URL = "url"  # a public link, fetched by the gateway
    UPLOAD = "upload"  # its own file service first, then that link
    INLINE = "inline"  # a data URI in the request


class Refetch(StrEnum):
    """Whether the result of a finished job can be fetched again."""

    BY_TASK_ID = "by_task_id"
    NEVER = "never"  # synchronous: a lost answer is lost


class Billing(StrEnum):
    """Whether a failed task costs money, as far as the gateway says."""

    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReferenceLimits:
    """What a reference image may be."""

    count: Limit[int]
    formats: Limit[frozenset[str]]  # Pillow's names: JPEG, PNG, WEBP, ...
    bytes: Limit[int]
    side_above: Limit[int] | None  # both sides must be larger, px
    aspect: Limit[tuple[float, float]] | None  # width/height, ends included
    pixels: Limit[int] | None
    ways: tuple[Limit[Transport], ...]  # in order of preference
    request_bytes: Limit[int] | None = None  # the whole request, inlined references included
    upload_formats: Limit[frozenset[str]] | None = None  # of its file service, where that takes fewer

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The ways without their sources, in order of preference."""
        return tuple(each.value for each in self.ways)


@dataclass(frozen=True, slots=True)
class Capability:
    """One gateway's offer of one model."""

    gateway: str
    model: str
    wire_models: Limit[tuple[str, ...]]  # accepted spellings; the first is sent
    ratios: Limit[frozenset[str]] | None  # None: any ratio, sent as pixels
    auto_ratio: Limit[str]  # "always", "with_references" or "never"
    tiers: Limit[frozenset[str]]
    pixels: Limit[PixelRange] | None  # None: no explicit sizes
    prompt_chars: Limit[int] | None
    references: ReferenceLimits
    outputs_per_call: Limit[int]
    outputs_per_text_call: Limit[int]  # the same for a call without references
    references_and_outputs: Limit[int] | None
    speeds: Limit[frozenset[str]]
    output_formats: Limit[frozenset[str]] | None  # None: no such field, the model decides
    watermark: Limit[bool]  # whether a watermark can be asked for
    options: Limit[frozenset[str]]  # accepted names in gateway_options
    group_hint: Limit[str] | None  # words a prompt must hold to get several images; {n} stands for their number
    failed_task_billed: Limit[Billing]
    refetch: Refetch
    estimate: bool  # whether an accepted task says how long it will take
    callback: Limit[bool]
    callback_limits: Limit[str] | None  # what a callback's address may be, and how long it is tried; None: not stated
    defaults: Limit[str]  # what the gateway takes for a field that a request leaves out
    link_life_s: Limit[int] | None  # None: not stated; links are copied at once in any case

    def call_size(self, references: int) -> int:
        """Most images one call can make with that many references; 0 when the references alone are too many."""
        size = self.outputs_per_call.value if references else self.outputs_per_text_call.value
        if self.references_and_outputs:
            size = min(size, self.references_and_outputs.value - references)
        return max(size, 0)
