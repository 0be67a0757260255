"""What EvoLink sells: models, limits, prices, options and error codes, each with its source. A new model is rows here."""

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
from ...core.field_checks import flag, one_of
from ...core.market import Offers, Option
from ...core.outcomes import ErrorClass
from ...core.pricing import EVERY_TIER, PriceRow
from ...core.sizes import BASE_RATIOS, PixelRange

GATEWAY = "evolink"
MODEL_45 = "seedream-4.5"
MODEL_40 = "seedream-4.0"

_EVO45 = "EvoLink, Seedream 4.5 page"
_EVO45_API = "EvoLink, Seedream 4.5 API reference"
_EVO40 = "EvoLink, Seedream 4.0 page"
_EVO40_API = "EvoLink, Seedream 4.0 API reference"
_EVO_FILES = "EvoLink, file service reference and published client"
_PRICES_READ = date(2026, 11, 1)

_BASE = frozenset(BASE_RATIOS)
_JPEG_PNG = frozenset({"JPEG", "PNG"})
_TEN_MB = 10_000_000
_SIDE = 14
_MOST_PIXELS = 6000 * 6000
_TWO_FOUR = frozenset({"2K", "4K"})
_STANDARD = frozenset({"standard"})
_BOTH_SPEEDS = frozenset({"standard", "fast"})
_DAY_S = 24 * 3600
_LONGEST_CALLBACK = 2048
_CALLBACKS = f"https, no private address, at most {_LONGEST_CALLBACK} characters; tried for 10 s, then 3 more times"
_GROUP_HINT = "Generate {n} different images."

_CAPABILITIES = (
    Capability(
        gateway=GATEWAY,
        model=MODEL_45,
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
        gateway=GATEWAY,
        model=MODEL_40,
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
)

_PRICES = (
    PriceRow(
        GATEWAY,
        MODEL_45,
        EVERY_TIER,
        Decimal("0.031"),
        Decimal("2.25"),
        "EvoLink, Seedream 4.5 page: all sizes",
        _PRICES_READ,
    ),
    PriceRow(
        GATEWAY,
        MODEL_45,
        "4K",
        Decimal("0.031"),
        Decimal("2.25"),
        "EvoLink, Seedream 4.5 page: all sizes",
        _PRICES_READ,
        disputed_usd=Decimal("0.035"),
        disputed_credits=Decimal("2.5"),
        note="The same page calls 4K 'higher cost' without a figure; $0.035 (2.5 credits) is the highest that copies of it state"
        " for any size. The credits that a finished task reports settle it.",
    ),
)

# No source prices 4.0.
_SANDBOX_PRICES = (
    PriceRow(GATEWAY, MODEL_40, EVERY_TIER, Decimal("0.0248"), Decimal("1.8"), "sandbox price list", _PRICES_READ),
)

ERROR_CODES = {
    # Error-codes page: failed tasks
    "content_policy_violation": ErrorClass.CONTENT,
    "invalid_parameters": ErrorClass.PARAMETERS,
    "image_processing_error": ErrorClass.PARAMETERS,
    "image_dimension_mismatch": ErrorClass.PARAMETERS,
    "request_cancelled": ErrorClass.CANCELLED,
    "service_error": ErrorClass.TRANSIENT,
    "generation_timeout": ErrorClass.TRANSIENT,
    "resource_exhausted": ErrorClass.TRANSIENT,
    "quota_exceeded": ErrorClass.TRANSIENT,  # "rate or quota"
    "service_unavailable": ErrorClass.TRANSIENT,
    "generation_failed_no_content": ErrorClass.CONTENT,  # its advice is a new prompt
    "resource_not_found": ErrorClass.PARAMETERS,
    "unknown_error": ErrorClass.PARAMETERS,
    # Published client
    "model_unavailable": ErrorClass.PARAMETERS,
    "upstream_error": ErrorClass.TRANSIENT,
    "rate_limited": ErrorClass.TRANSIENT,
    "rate_limit_exceeded": ErrorClass.RATE,
    "invalid_task_id": ErrorClass.PARAMETERS,
    # `type` of an HTTP error
    "invalid_request_error": ErrorClass.PARAMETERS,
    "authentication_error": ErrorClass.ACCOUNT,
    "insufficient_quota_error": ErrorClass.ACCOUNT,
    "permission_error": ErrorClass.ACCOUNT,
    "not_found_error": ErrorClass.PARAMETERS,
    "request_too_large_error": ErrorClass.PARAMETERS,
    "rate_limit_error": ErrorClass.RATE,
    "internal_server_error": ErrorClass.TRANSIENT,
    "service_unavailable_error": ErrorClass.TRANSIENT,
}

OFFERS = Offers(
    gateway=GATEWAY,
    title="EvoLink",
    capabilities=_CAPABILITIES,
    prices=_PRICES,
    sandbox_prices=_SANDBOX_PRICES,
    options={
        "size_form": Option(one_of("ratio", "pixels"), decides=False, example="pixels"),
        "prompt_hint": Option(flag, decides=False),
    },
    error_codes=ERROR_CODES,
    longest_callback=_LONGEST_CALLBACK,
    order=10,
)
