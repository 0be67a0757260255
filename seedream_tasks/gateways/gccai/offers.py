"""What gccai sells: models, limits, prices, options and error codes, each with its source. A new model is rows here."""

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
from ...core.field_checks import count, one_of
from ...core.market import Offers, Option
from ...core.outcomes import ErrorClass
from ...core.pricing import EVERY_TIER, PriceRow
from ...core.sizes import BASE_RATIOS

GATEWAY = "gccai"
MODEL_45 = "seedream-4.5"

_GCCAI = "gccai, Seedream 4.5 API page"
_APIMART = "APIMart documentation, uploads (gccai's pages are a copy of APIMart's; its own state no upload)"

_BASE = frozenset(BASE_RATIOS)
_JPEG_PNG = frozenset({"JPEG", "PNG"})
_TEN_MB = 10_000_000
_SIDE = 14
_MOST_PIXELS = 6000 * 6000
_TWO_FOUR = frozenset({"2K", "4K"})
_BOTH_SPEEDS = frozenset({"standard", "fast"})
_DAY_S = 24 * 3600

_CAPABILITIES = (
    Capability(
        gateway=GATEWAY,
        model=MODEL_45,
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
)

# No source prices it.
_SANDBOX_PRICES = (
    PriceRow(GATEWAY, MODEL_45, EVERY_TIER, Decimal("0.035"), None, "sandbox price list", date(2026, 11, 1)),
)

# `type` of an HTTP error
ERROR_CODES = {
    "invalid_request_error": ErrorClass.PARAMETERS,
    "authentication_error": ErrorClass.ACCOUNT,
    "payment_required": ErrorClass.ACCOUNT,
    "permission_error": ErrorClass.ACCOUNT,
    "rate_limit_error": ErrorClass.RATE,
    "server_error": ErrorClass.TRANSIENT,
}

OFFERS = Offers(
    gateway=GATEWAY,
    title="gccai",
    capabilities=_CAPABILITIES,
    sandbox_prices=_SANDBOX_PRICES,
    options={
        "model_name": Option(one_of(*(name for row in _CAPABILITIES for name in row.wire_models.value)), decides=False),
        "sequential_image_generation": Option(one_of("disabled", "auto"), default="disabled"),
        "max_images": Option(count),
    },
    error_codes=ERROR_CODES,
    order=20,
)
