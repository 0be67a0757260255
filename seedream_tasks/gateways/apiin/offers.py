"""What API in One sells: models, limits, prices, options and error codes, each with its source. A new model is rows here."""

from datetime import date
from decimal import Decimal

from ...core.capabilities import (
    Billing,
    Capability,
    Limit,
    ReferenceLimits,
    Refetch,
    Transport,
)
from ...core.market import Offers
from ...core.outcomes import ErrorClass
from ...core.pricing import EVERY_TIER, PriceRow
from ...core.sizes import BASE_RATIOS

GATEWAY = "apiin"
MODEL_45 = "seedream-4.5"

_APIIN = "API in One, Seedream 4.5 page"
_APIIN_DOCS = "API in One documentation"
_KIE = "KIE, Seedream 4.5 reference (upstream of API in One, which states none)"

_BASE = frozenset(BASE_RATIOS)
_JPEG_PNG_WEBP = frozenset({"JPEG", "PNG", "WEBP"})
_TEN_MB = 10_000_000
_TWO_FOUR = frozenset({"2K", "4K"})
_STANDARD = frozenset({"standard"})

_CAPABILITIES = (
    Capability(
        gateway=GATEWAY,
        model=MODEL_45,
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

_PRICES = (
    PriceRow(
        GATEWAY,
        MODEL_45,
        EVERY_TIER,
        Decimal("0.024"),
        Decimal("12"),
        "API in One, Seedream 4.5 page: 12 credits, ~$0.024",
        date(2026, 11, 1),
        disputed_usd=Decimal("0.12"),
        note="The vendor's current site states about $0.12 for the same 12 credits.",
    ),
)

# `type` of an HTTP error; no list of them is published.
ERROR_CODES = {
    "invalid_request": ErrorClass.PARAMETERS,
}

OFFERS = Offers(
    gateway=GATEWAY,
    title="API in One",
    capabilities=_CAPABILITIES,
    prices=_PRICES,
    error_codes=ERROR_CODES,
    order=40,
)
