"""Preflight: what a gateway cannot do is refused before any money moves, and the message says all there is to say."""

from dataclasses import replace
from typing import Any

import pytest
from on_offer import BY_OFFER, SEEDREAM_40, SEEDREAM_45

from seedream_tasks.core.capabilities import Capability
from seedream_tasks.core.jobs import Job, Reference
from seedream_tasks.core.preflight import images_per_call, obstacles, prompt_for, shown

EVOLINK, EVOLINK_40 = BY_OFFER["evolink", SEEDREAM_45], BY_OFFER["evolink", SEEDREAM_40]
GCCAI, GETIMG, APIIN = (BY_OFFER[name, SEEDREAM_45] for name in ("gccai", "getimg", "apiin"))


def job(**fields: Any) -> Job:
    """A plain job with some fields of its own."""
    return Job("p1", "hero", SEEDREAM_45, "generate", "A lamp").having(**fields)


def photo(uri: str = "https://shop.example/lamp.jpg", **measures: Any) -> Reference:
    """A reference that every gateway takes, unless it is said otherwise."""
    fields: dict[str, Any] = {"sha256": "0" * 64, "format": "JPEG", "width": 1000, "height": 800, "bytes": 300_000}
    return Reference(uri, **{**fields, **measures})


def photos(count: int, uri: str = "https://shop.example/lamp.jpg", **measures: Any) -> tuple[Reference, ...]:
    """That many of them."""
    return (photo(uri, **measures),) * count


LOCAL = "images/lamp.jpg"
# What is asked, of whom: the limit's name, the field, the figures or words that the message must hold, and its source.
REFUSED: list[tuple[Capability, dict[str, Any], str, str, tuple[str, ...], str]] = [
    (EVOLINK, {"tier": "1K"}, "tier", "tier", ("1K", "2K, 4K"), EVOLINK.tiers.source),
    (GCCAI, {"tier": "1K"}, "tier", "tier", ("1K", "2K, 4K"), GCCAI.tiers.source),
    (EVOLINK, {"ratio": "9:21"}, "ratio", "ratio", ("9:21", "21:9"), EVOLINK.ratios.source),
    (GCCAI, {"ratio": "4:5"}, "ratio", "ratio", ("4:5", "9:21"), GCCAI.ratios.source),
    (GETIMG, {"ratio": "auto"}, "ratio", "ratio", ("auto",), GETIMG.auto_ratio.source),
    (GCCAI, {"ratio": "auto"}, "ratio", "ratio", ("auto", "reference"), GCCAI.auto_ratio.source),
    (EVOLINK_40, {"ratio": "20:1"}, "ratio", "ratio", ("20:1", "1/16 to 16"), EVOLINK_40.pixels.source),
    (
        EVOLINK,
        {"ratio": None, "tier": None, "pixels": "1024x1024"},
        "pixels",
        "pixels",
        ("1024x1024", "3,686,400 to 16,777,216"),
        EVOLINK.pixels.source,
    ),
    (
        EVOLINK_40,
        {"ratio": None, "tier": None, "pixels": "4096x4097"},
        "pixels",
        "pixels",
        ("4096x4097", "921,600 to 16,777,216"),
        EVOLINK_40.pixels.source,
    ),
    (GETIMG, {"ratio": None, "tier": None, "pixels": "2048x2048"}, "pixels", "pixels", ("2048x2048",), "getimg"),
    (EVOLINK, {"speed": "fast"}, "speed", "speed", ("fast", "standard"), EVOLINK.speeds.source),
    (APIIN, {"speed": "fast"}, "speed", "speed", ("fast", "standard"), APIIN.speeds.source),
    (EVOLINK, {"watermark": True}, "watermark", "watermark", ("watermark",), EVOLINK.watermark.source),
    (EVOLINK, {"output_format": "png"}, "output_format", "output_format", ("png",), "EvoLink"),
    (
        EVOLINK_40,
        {"gateway_options": {"evolink": {"size_form": "pixels"}}},
        "gateway_options",
        "gateway_options",
        ("size_form",),
        EVOLINK_40.options.source,
    ),
    (EVOLINK, {"prompt": "x" * 2001}, "prompt_length", "prompt", ("2001", "2000"), EVOLINK.prompt_chars.source),
    (GETIMG, {"prompt": "x" * 4097}, "prompt_length", "prompt", ("4097", "4096"), GETIMG.prompt_chars.source),
    (APIIN, {"prompt": "x" * 3001}, "prompt_length", "prompt", ("3001", "3000"), APIIN.prompt_chars.source),
    (
        EVOLINK,
        {"references": photos(15)},
        "reference_count",
        "references",
        ("15", "14"),
        EVOLINK.references.count.source,
    ),
    (
        EVOLINK_40,
        {"references": photos(11)},
        "reference_count",
        "references",
        ("11", "10"),
        EVOLINK_40.references.count.source,
    ),
    (
        APIIN,
        {"references": photos(1, format="GIF")},
        "reference_format",
        "references",
        ("GIF", "JPEG, PNG, WEBP"),
        APIIN.references.formats.source,
    ),
    (
        GCCAI,
        {"references": photos(1, width=14, height=20)},
        "reference_side",
        "references",
        ("14x20", "above 14"),
        GCCAI.references.side_above.source,
    ),
    (
        GCCAI,
        {"references": photos(1, width=301, height=100)},
        "reference_aspect",
        "references",
        ("301x100", "1/3 to 3"),
        GCCAI.references.aspect.source,
    ),
    (
        EVOLINK,
        {"references": photos(1, width=100, height=1601)},
        "reference_aspect",
        "references",
        ("100x1601", "1/16 to 16"),
        EVOLINK.references.aspect.source,
    ),
    (
        APIIN,
        {"references": photos(1, bytes=10_000_001)},
        "reference_bytes",
        "references",
        ("10,000,001", "10,000,000", "converted"),
        APIIN.references.bytes.source,
    ),
    (APIIN, {"references": photos(1, flaw="turned by EXIF")}, "reference_flaw", "references", ("EXIF",), "converted"),
    (APIIN, {"references": photos(1, public=False)}, "reference_transport", "references", ("public",), "KIE"),
    (
        APIIN,
        {"references": photos(1, LOCAL)},
        "reference_transport",
        "references",
        ("url",),
        APIIN.references.count.source,
    ),
]


@pytest.mark.parametrize(
    ("row", "asked", "limit", "field", "figures", "source"),
    [pytest.param(*each, id=f"{each[0].gateway}-{each[0].model[-3:]}-{each[2]}") for each in REFUSED],
)
def test_each_limit_is_refused_and_explained(
    row: Capability, asked: dict[str, Any], limit: str, field: str, figures: tuple[str, ...], source: str
) -> None:
    """The obstacle has the limit's name and the shot's field; its message holds what was asked, the figure and the source."""
    (found,) = obstacles(job(model=row.model, **asked), row)
    assert (found.gateway, found.limit, found.field) == (row.gateway, limit, field)
    assert [figure for figure in figures if figure not in found.message] == []
    assert source in found.message


FITS: list[tuple[Capability, dict[str, Any]]] = [
    (EVOLINK, {}),
    (EVOLINK, {"ratio": "auto"}),
    (EVOLINK, {"ratio": None, "tier": None, "pixels": "2560x1440"}),
    (EVOLINK, {"prompt": "x" * 2000}),
    (EVOLINK, {"references": photos(14, bytes=10_000_000)}),
    (EVOLINK, {"references": photos(1, width=15, height=240)}),
    (EVOLINK, {"references": photos(1, width=6000, height=6000)}),
    (EVOLINK, {"references": photos(1, LOCAL)}),
    # What a converted copy mends:
    (EVOLINK, {"references": photos(1, bytes=10_000_001)}),
    (EVOLINK, {"references": photos(1, width=6000, height=6001)}),
    (EVOLINK, {"references": photos(1, LOCAL, format="TIFF")}),
    (EVOLINK_40, {"references": photos(1, format="GIF", flaw="turned by EXIF")}),
    (GCCAI, {"references": photos(1, format="WEBP")}),
    (GCCAI, {"references": photos(1, format="AVIF")}),
    (GETIMG, {"references": photos(8, LOCAL, bytes=9_900_000)}),
    (EVOLINK, {"n": 15}),
    (EVOLINK_40, {"tier": "1K", "speed": "fast"}),
    (EVOLINK_40, {"ratio": "5:7"}),
    (GCCAI, {"ratio": "9:21", "speed": "fast", "watermark": True}),
    (GCCAI, {"ratio": "auto", "references": photos(1)}),
    (GCCAI, {"references": photos(10, width=300, height=100)}),
    (GCCAI, {"prompt": "x" * 20_000}),
    (GETIMG, {"output_format": "webp", "prompt": "x" * 4096}),
    (GETIMG, {"references": photos(1, LOCAL, bytes=10_000_000)}),
    (GETIMG, {"references": photos(3, bytes=9_900_000)}),
    (APIIN, {"references": photos(14)}),
    (APIIN, {"n": 15}),
]


@pytest.mark.parametrize(("row", "asked"), FITS)
def test_what_just_fits_is_no_obstacle(row: Capability, asked: dict[str, Any]) -> None:
    """The ends of a limit belong to it."""
    assert obstacles(job(model=row.model, **asked), row) == []


def test_references_that_leave_no_room_for_an_image_are_refused() -> None:
    """Fifteen in all: as many references as that make a call without an output."""
    row = replace(EVOLINK, references=replace(EVOLINK.references, count=replace(EVOLINK.references.count, value=20)))
    (found,) = obstacles(job(references=photos(15)), row)
    assert (found.limit, found.field) == ("references_and_outputs", "references")
    assert "15 references" in found.message
    assert EVOLINK.references_and_outputs
    assert EVOLINK.references_and_outputs.source in found.message


def test_each_reference_is_named() -> None:
    """Of several references, the message names the one at fault, and none of its signature."""
    wrong = photo("https://shop.example/banner.gif?X-Amz-Signature=secret", format="GIF")
    (found,) = obstacles(job(references=(photo(), wrong)), APIIN)
    assert "https://shop.example/banner.gif" in found.message
    assert "secret" not in found.message


def test_every_obstacle_is_listed_at_once() -> None:
    """Somebody who mends a shot list sees all that is wrong, not one thing after another."""
    found = obstacles(job(ratio="4:5", speed="fast", watermark=True, references=photos(15, format="GIF")), APIIN)
    assert {each.limit for each in found} == {"ratio", "speed", "watermark", "reference_count", "reference_format"}


def test_a_shot_may_name_its_gateways() -> None:
    """Others are out for it, however able they are."""
    (found,) = obstacles(job(gateways=("getimg",)), EVOLINK)
    assert (found.limit, found.field) == ("gateways", "gateways")
    assert "getimg" in found.message
    assert obstacles(job(gateways=("getimg", "evolink")), EVOLINK) == []


def test_options_of_other_gateways_are_no_obstacle() -> None:
    """Each gateway reads only its own options."""
    assert obstacles(job(gateway_options={"evolink": {"size_form": "pixels"}}), GETIMG) == []


def test_an_obstacle_reads_with_its_gateway() -> None:
    """As text it says who cannot."""
    (found,) = obstacles(job(tier="1K"), EVOLINK)
    assert str(found) == f"evolink: {found.message}"


def test_a_link_that_is_none_is_an_obstacle_and_no_crash() -> None:
    """A cell with a malformed link is one bad reference, not the end of the run."""
    found = obstacles(job(references=(photo("https://[half/lamp.jpg"),)), APIIN)
    assert {each.field for each in found} <= {"references"}


@pytest.mark.parametrize(
    ("row", "references", "options", "size"),
    [
        (EVOLINK, 0, {}, 15),
        (EVOLINK, 3, {}, 12),
        (GCCAI, 0, {}, 1),
        (GCCAI, 2, {}, 13),
        (GCCAI, 2, {"sequential_image_generation": "disabled"}, 1),
        (GCCAI, 2, {"sequential_image_generation": "auto", "max_images": 4}, 4),
        (GETIMG, 2, {}, 1),
    ],
)
def test_images_per_call(row: Capability, references: int, options: dict[str, Any], size: int) -> None:
    """The gateway's limit, less the references, less what the shot's own options leave."""
    wanted = job(n=15, references=photos(references), gateway_options={row.gateway: options})
    assert images_per_call(wanted, row) == size


def test_a_prompt_asks_for_several_images_in_words() -> None:
    """EvoLink makes several only if the prompt says so; one image, other gateways and the switch leave it alone."""
    assert prompt_for(job(n=4), EVOLINK, 4) == "A lamp Generate 4 different images."
    assert prompt_for(job(n=4), EVOLINK, 1) == "A lamp"
    assert prompt_for(job(n=4), GCCAI, 4) == "A lamp"
    silent = job(n=4, gateway_options={"evolink": {"prompt_hint": False}})
    assert prompt_for(silent, EVOLINK, 4) == "A lamp"


def test_the_hint_counts_into_the_prompts_length() -> None:
    """What is sent must fit, not what was written."""
    full = "x" * 2000
    assert obstacles(job(prompt=full), EVOLINK) == []
    assert [each.limit for each in obstacles(job(prompt=full, n=2), EVOLINK)] == ["prompt_length"]
    silent = {"evolink": {"prompt_hint": False}}
    assert obstacles(job(prompt=full, n=2, gateway_options=silent), EVOLINK) == []


def test_messages_show_no_secrets_and_no_image_data() -> None:
    """A link without its query, a data URI by its beginning."""
    assert shown("https://shop.example/a.jpg?sig=secret") == "https://shop.example/a.jpg"
    assert shown("data:image/png;base64," + "A" * 1000) == "data:image/png;base64,AAAAAAAA..."
