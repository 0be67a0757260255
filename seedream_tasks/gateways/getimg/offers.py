"""What getimg.ai sells: models, limits, prices, options and error codes, each with its source. A new model is rows here."""

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
from ...core.pricing import PriceRow
from ...core.sizes import BASE_RATIOS

GATEWAY = "getimg"
MODEL_45 = "seedream-4.5"

_GETIMG = "getimg.ai, Seedream 4.5 page"
_GETIMG_API = "getimg.ai API reference"
_GETIMG_SDK = "getimg.ai Python SDK 0.4"
_PRICES_READ = date(2026, 11, 1)

_BASE = frozenset(BASE_RATIOS)
_JPEG_PNG_WEBP = frozenset({"JPEG", "PNG", "WEBP"})
_TEN_MB = 10_000_000
_TWO_FOUR = frozenset({"2K", "4K"})
_STANDARD = frozenset({"standard"})

_CAPABILITIES = (
    Capability(
        gateway=GATEWAY,
        model=MODEL_45,
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
)

_PRICES = (
    PriceRow(GATEWAY, MODEL_45, "2K", Decimal("0.04"), None, _GETIMG, _PRICES_READ),
    PriceRow(GATEWAY, MODEL_45, "4K", Decimal("0.04"), None, _GETIMG, _PRICES_READ),
)

# Errors guide. Its `type` says the same of every error.
ERROR_CODES = {
    "content_policy_violation": ErrorClass.CONTENT,
    "invalid_api_key": ErrorClass.ACCOUNT,
    "parameter_missing": ErrorClass.PARAMETERS,
    "invalid_parameter": ErrorClass.PARAMETERS,
    "rate_limit": ErrorClass.RATE,
}

OFFERS = Offers(
    gateway=GATEWAY,
    title="getimg.ai",
    capabilities=_CAPABILITIES,
    prices=_PRICES,
    error_codes=ERROR_CODES,
    foreign_variables=("GETIMG_",),  # GETIMG_API_KEY, of its own SDK
    order=30,
)
