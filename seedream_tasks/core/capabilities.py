"""What each gateway accepts for each model: one row each, every limit with its source.

A new model version is one more row in `CAPABILITIES`. Sources name the gateway's own document ("page" is its product or API
page, "API reference" its OpenAPI text, "SDK" its published client). Where documents disagree the parameter table wins over
prose, and the lower number over the higher one, because a refused job costs nothing and an accepted one does.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from .sizes import BASE_RATIOS, PixelRange

SEEDREAM_45 = "seedream-4.5"
SEEDREAM_40 = "seedream-4.0"
MODELS = (SEEDREAM_45, SEEDREAM_40)


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
    """Whether a finished job can be asked for again."""

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
    group_hint: Limit[str] | None  # words a prompt must hold to get several pictures; {n} stands for their number
    failed_task_billed: Limit[Billing]
    refetch: Refetch
    estimate: bool  # whether an accepted task says how long it will take
    callback: Limit[bool]
    callback_limits: Limit[str] | None  # what a callback's address may be, and how long it is tried; None: not stated
    defaults: Limit[str]  # what the gateway takes for a field that a request leaves out
    link_life_s: Limit[int] | None  # None: not stated; links are copied at once in any case

    def call_size(self, references: int) -> int:
        """Most pictures one call can make with that many references; 0 when the references alone are too many."""
        size = self.outputs_per_call.value if references else self.outputs_per_text_call.value
        if self.references_and_outputs:
            size = min(size, self.references_and_outputs.value - references)
        return max(size, 0)


_EVO45 = "EvoLink, Seedream 4.5 page"
_EVO45_API = "EvoLink, Seedream 4.5 API reference"
_EVO40 = "EvoLink, Seedream 4.0 page"
_EVO40_API = "EvoLink, Seedream 4.0 API reference"
_EVO_FILES = "EvoLink, file service reference and published client"
_GCCAI = "gccai, Seedream 4.5 API page"
_APIMART = "APIMart documentation, uploads (gccai's pages are a copy of APIMart's; its own state no upload)"
_GETIMG = "getimg.ai, Seedream 4.5 page"
_GETIMG_API = "getimg.ai API reference"
_GETIMG_SDK = "getimg.ai Python SDK 0.4"
_APIIN = "API in One, Seedream 4.5 page"
_APIIN_DOCS = "API in One documentation"
_KIE = "KIE, Seedream 4.5 reference (upstream of API in One, which states none)"

_BASE = frozenset(BASE_RATIOS)
_JPEG_PNG = frozenset({"JPEG", "PNG"})
_JPEG_PNG_WEBP = frozenset({"JPEG", "PNG", "WEBP"})
_TEN_MB = 10_000_000
_SIDE = 14
_MOST_PIXELS = 6000 * 6000
_TWO_FOUR = frozenset({"2K", "4K"})
_STANDARD = frozenset({"standard"})
_BOTH_SPEEDS = frozenset({"standard", "fast"})
_DAY_S = 24 * 3600
_CALLBACKS = "https, no private address, at most 2048 characters; tried for 10 s, then 3 more times"
_GROUP_HINT = "Generate {n} different images."

CAPABILITIES: tuple[Capability, ...] = (
    Capability(
        gateway="evolink",
        model=SEEDREAM_45,
        wire_models=Limit(("doubao-seedream-4.5",), _EVO45),
        ratios=Limit(_BASE | {"4:5", "5:4"}, _EVO45),
        auto_ratio=Limit("always", _EVO45),
        tiers=Limit(_TWO_FOUR, f"{_EVO45}: does not support 1K"),
        pixels=Limit(PixelRange(2560 * 1440, 4096 * 4096), _EVO45_API),
        prompt_chars=Limit(2000, f"{_EVO45_API}: maxLength 2000 (the page says 2000 tokens)"),
        references=ReferenceLimits(
            count=Limit(14, _EVO45),
            formats=Limit(frozenset({"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"}), _EVO45),
            bytes=Limit(_TEN_MB, f"{_EVO45}: 10MB"),
            side_above=Limit(_SIDE, _EVO45),
            aspect=Limit((1 / 16, 16.0), _EVO45),
            pixels=Limit(_MOST_PIXELS, f"{_EVO45}: 6000x6000 in all"),
            ways=(
                Limit(Transport.URL, f"{_EVO45}: URLs must be directly accessible by the server"),
                Limit(Transport.UPLOAD, _EVO_FILES),
            ),
            upload_formats=Limit(frozenset({"JPEG", "PNG", "GIF", "WEBP"}), f"{_EVO_FILES}: JPEG/PNG/GIF/WebP"),
        ),
        outputs_per_call=Limit(15, _EVO45),
        outputs_per_text_call=Limit(15, _EVO45),
        references_and_outputs=Limit(15, _EVO45),
        speeds=Limit(_STANDARD, f"{_EVO45}: prompt_priority takes only standard"),
        output_formats=None,
        watermark=Limit(False, f"{_EVO45}: no such field"),
        options=Limit(frozenset({"size_form", "prompt_hint"}), "switches of seedream_tasks"),
        group_hint=Limit(_GROUP_HINT, _EVO45),
        failed_task_billed=Limit(Billing.NO, f"{_EVO45}: charged by the number of images generated"),
        refetch=Refetch.BY_TASK_ID,
        estimate=True,
        callback=Limit(True, _EVO45),
        callback_limits=Limit(_CALLBACKS, _EVO45),
        defaults=Limit("size auto, quality 2K, n 1, prompt_priority standard", _EVO45),
        link_life_s=Limit(_DAY_S, _EVO45),
    ),
    Capability(
        gateway="evolink",
        model=SEEDREAM_40,
        wire_models=Limit(("doubao-seedream-4.0",), _EVO40),
        ratios=None,
        auto_ratio=Limit("always", f"{_EVO40}: a size of 1K, 2K or 4K leaves the ratio to the model"),
        tiers=Limit(frozenset({"1K", "2K", "4K"}), _EVO40),
        pixels=Limit(PixelRange(1280 * 720, 4096 * 4096), f"{_EVO40}: 1280x720 to 4096x4096, read as total pixels"),
        prompt_chars=Limit(2000, f"{_EVO40_API}: maxLength 2000 (the page says 2000 tokens)"),
        references=ReferenceLimits(
            count=Limit(10, f"{_EVO40}: parameter table (the prose says up to 14)"),
            formats=Limit(_JPEG_PNG, _EVO40),
            bytes=Limit(_TEN_MB, f"{_EVO40}: 10MB"),
            side_above=None,
            aspect=Limit((1 / 3, 3.0), _EVO40),
            pixels=Limit(_MOST_PIXELS, f"{_EVO40}: 6000x6000 in all"),
            ways=(
                Limit(Transport.URL, f"{_EVO40}: URLs must be directly accessible by the server"),
                Limit(Transport.UPLOAD, _EVO_FILES),
            ),
        ),
        outputs_per_call=Limit(15, _EVO40),
        outputs_per_text_call=Limit(15, _EVO40),
        references_and_outputs=Limit(15, f"{_EVO40}: total reference and output images capped at 15"),
        speeds=Limit(_BOTH_SPEEDS, _EVO40),
        output_formats=None,
        watermark=Limit(False, f"{_EVO40}: no such field"),
        options=Limit(frozenset({"prompt_hint"}), "switch of seedream_tasks"),
        group_hint=Limit(_GROUP_HINT, _EVO40_API),
        failed_task_billed=Limit(Billing.NO, f"{_EVO45}: charged by the number of images generated"),
        refetch=Refetch.BY_TASK_ID,
        estimate=True,
        callback=Limit(True, _EVO40),
        callback_limits=Limit(_CALLBACKS, _EVO40),
        defaults=Limit("size 2048x2048, n 1, prompt_priority standard", _EVO40),
        link_life_s=Limit(_DAY_S, _EVO40),
    ),
    Capability(
        gateway="gccai",
        model=SEEDREAM_45,
        wire_models=Limit(
            ("doubao-seedance-4-5", "Doubao-Seedream-4.5", "doubao-seedream-4.5", "doubao-seedream-4-5"), _GCCAI
        ),
        ratios=Limit(_BASE | {"9:21"}, _GCCAI),
        auto_ratio=Limit("with_references", _GCCAI),
        tiers=Limit(_TWO_FOUR, f"{_GCCAI}: does not support 1K"),
        pixels=None,
        prompt_chars=None,
        references=ReferenceLimits(
            count=Limit(10, _GCCAI),
            formats=Limit(_JPEG_PNG, _GCCAI),
            bytes=Limit(_TEN_MB, f"{_GCCAI}: 10MB"),
            side_above=Limit(_SIDE, _GCCAI),
            aspect=Limit((1 / 3, 3.0), _GCCAI),
            pixels=Limit(_MOST_PIXELS, f"{_GCCAI}: 6000x6000 in all"),
            ways=(
                Limit(Transport.URL, f"{_GCCAI}: complete image URL"),
                Limit(Transport.UPLOAD, _APIMART),
                Limit(Transport.INLINE, f"{_GCCAI}: data URI (APIMart's upload page says it is no longer taken)"),
            ),
        ),
        outputs_per_call=Limit(15, _GCCAI),
        outputs_per_text_call=Limit(1, f"{_GCCAI}: pure text-to-image cannot generate multiple images"),
        references_and_outputs=Limit(15, _GCCAI),
        speeds=Limit(_BOTH_SPEEDS, _GCCAI),
        output_formats=None,
        watermark=Limit(True, _GCCAI),
        options=Limit(frozenset({"model_name", "sequential_image_generation", "max_images"}), _GCCAI),
        group_hint=None,
        failed_task_billed=Limit(Billing.UNKNOWN, f"{_GCCAI}: not stated"),
        refetch=Refetch.BY_TASK_ID,
        estimate=True,
        callback=Limit(False, f"{_GCCAI}: no such field"),
        callback_limits=None,
        defaults=Limit(
            "size 1:1, resolution 2K, n 1, mode standard, sequential_image_generation disabled, watermark false", _GCCAI
        ),
        link_life_s=Limit(_DAY_S, _GCCAI),
    ),
    Capability(
        gateway="getimg",
        model=SEEDREAM_45,
        wire_models=Limit(("seedream-4-5",), _GETIMG),
        ratios=Limit(_BASE, _GETIMG),
        auto_ratio=Limit("never", _GETIMG),
        tiers=Limit(_TWO_FOUR, _GETIMG),
        pixels=None,
        prompt_chars=Limit(4096, _GETIMG_API),
        references=ReferenceLimits(
            count=Limit(10, f"{_GETIMG} (an older reference says 8; the models endpoint decides at run time)"),
            formats=Limit(_JPEG_PNG_WEBP, _GETIMG_SDK),
            bytes=Limit(_TEN_MB, f"{_GETIMG_SDK}: 10 MiB decoded"),
            side_above=None,
            aspect=None,
            pixels=None,
            ways=(
                Limit(Transport.URL, f"{_GETIMG_SDK}: public HTTPS URL"),
                Limit(Transport.INLINE, f"{_GETIMG_SDK}: full data URL"),
            ),
            request_bytes=Limit(25 * 1024 * 1024, f"{_GETIMG_SDK}: 25 MiB of JSON"),
        ),
        outputs_per_call=Limit(1, f"{_GETIMG_API}: no field for more"),
        outputs_per_text_call=Limit(1, f"{_GETIMG_API}: no field for more"),
        references_and_outputs=None,
        speeds=Limit(_STANDARD, f"{_GETIMG_API}: no such field"),
        output_formats=Limit(frozenset({"jpeg", "png", "webp"}), _GETIMG_SDK),
        watermark=Limit(False, f"{_GETIMG_API}: no such field"),
        options=Limit(frozenset(), f"{_GETIMG_API}: no further field"),
        group_hint=None,
        failed_task_billed=Limit(Billing.UNKNOWN, f"{_GETIMG_API}: not stated"),
        refetch=Refetch.NEVER,
        estimate=False,
        callback=Limit(False, f"{_GETIMG_API}: none for images"),
        callback_limits=None,
        defaults=Limit("the first ratio and resolution that the models endpoint lists", _GETIMG_SDK),
        link_life_s=None,
    ),
    Capability(
        gateway="apiin",
        model=SEEDREAM_45,
        wire_models=Limit(("seedream/4.5-text-to-image", "seedream/4.5-edit"), _APIIN),
        ratios=Limit(_BASE, _APIIN),
        auto_ratio=Limit("never", _APIIN),
        tiers=Limit(
            _TWO_FOUR, "KIE, Seedream 4.5 reference: basic is 2K, high is 4K (API in One's page names no sizes)"
        ),
        pixels=None,
        prompt_chars=Limit(3000, _KIE),
        references=ReferenceLimits(
            count=Limit(14, _KIE),
            formats=Limit(_JPEG_PNG_WEBP, _KIE),
            bytes=Limit(_TEN_MB, _KIE),
            side_above=None,
            aspect=None,
            pixels=None,
            ways=(Limit(Transport.URL, f"{_APIIN}: array of image URLs"),),
        ),
        outputs_per_call=Limit(1, f"{_APIIN}: no field for more"),
        outputs_per_text_call=Limit(1, f"{_APIIN}: no field for more"),
        references_and_outputs=None,
        speeds=Limit(_STANDARD, f"{_APIIN}: no such field"),
        output_formats=None,
        watermark=Limit(False, f"{_APIIN}: no such field"),
        options=Limit(frozenset(), f"{_APIIN}: no further field"),
        group_hint=None,
        failed_task_billed=Limit(Billing.UNKNOWN, f"{_APIIN}: not stated"),
        refetch=Refetch.BY_TASK_ID,
        estimate=False,
        callback=Limit(True, f"{_APIIN_DOCS}: callback_url on supported async tasks"),
        callback_limits=None,
        defaults=Limit("model seedream/4.5-text-to-image, aspect_ratio 1:1, quality basic", _APIIN),
        link_life_s=None,
    ),
)

GATEWAYS = tuple(dict.fromkeys(row.gateway for row in CAPABILITIES))
# As people know them.
NAMES = {"evolink": "EvoLink", "gccai": "gccai", "getimg": "getimg.ai", "apiin": "API in One"}
BY_OFFER: dict[tuple[str, str], Capability] = {(row.gateway, row.model): row for row in CAPABILITIES}
