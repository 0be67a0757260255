"""The capability rows say what the gateways' documents say, each limit with its source."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_offer import BY_OFFER, CAPABILITIES, GATEWAYS, MODELS, PRICES, SEEDREAM_40, SEEDREAM_45

from seedream_tasks.core.capabilities import Billing, Capability, Limit, Refetch, Transport
from seedream_tasks.core.jobs import Job
from seedream_tasks.core.preflight import images_per_call, obstacles
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.pricing import PriceRow
from seedream_tasks.core.sizes import TIERS

EIGHT = {"1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9"}
ALL = [pytest.param(row, id=f"{row.gateway}-{row.model}") for row in CAPABILITIES]


def limits(value: Any, path: str) -> Iterator[tuple[str, Limit[Any]]]:
    """Every Limit of a row, however deep, with the name of its field."""
    for each in fields(value):
        inner = getattr(value, each.name)
        if isinstance(inner, Limit):
            yield f"{path}.{each.name}", inner
        elif is_dataclass(inner):
            yield from limits(inner, f"{path}.{each.name}")


@pytest.mark.parametrize("row", ALL)
def test_every_limit_has_a_source(row: Capability) -> None:
    """A limit that nobody states is not a limit: each names the document it comes from."""
    stated = dict(limits(row, f"{row.gateway}/{row.model}"))
    assert len(stated) >= 12
    assert [name for name, limit in stated.items() if len(limit.source.strip()) < 5] == []


def test_who_sells_what() -> None:
    """Four gateways; Seedream 4.5 at all of them, 4.0 at EvoLink."""
    assert GATEWAYS == ("evolink", "gccai", "getimg", "apiin")
    assert MODELS == (SEEDREAM_45, SEEDREAM_40)
    assert set(BY_OFFER) == {(name, SEEDREAM_45) for name in GATEWAYS} | {("evolink", SEEDREAM_40)}
    assert len(BY_OFFER) == len(CAPABILITIES)


# gateway, model -> references, formats, width/height of a reference, side above, pixels, outputs, outputs of text only
REFERENCES = {
    ("evolink", SEEDREAM_45): (14, {"JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"}, (1 / 16, 16), 14, 36_000_000, 15, 15),
    ("evolink", SEEDREAM_40): (10, {"JPEG", "PNG"}, (1 / 3, 3), None, 36_000_000, 15, 15),
    ("gccai", SEEDREAM_45): (10, {"JPEG", "PNG"}, (1 / 3, 3), 14, 36_000_000, 15, 1),
    ("getimg", SEEDREAM_45): (10, {"JPEG", "PNG", "WEBP"}, None, None, None, 1, 1),
    ("apiin", SEEDREAM_45): (14, {"JPEG", "PNG", "WEBP"}, None, None, None, 1, 1),
}


@pytest.mark.parametrize("row", ALL)
def test_reference_and_output_limits_are_the_documented_ones(row: Capability) -> None:
    """Counts, formats and measures as the gateways' parameter tables state them."""
    count, formats, aspect, side, pixels, outputs, text_outputs = REFERENCES[row.gateway, row.model]
    found = row.references
    assert found.count.value == count
    assert found.formats.value == formats
    assert (found.aspect.value if found.aspect else None) == aspect
    assert (found.side_above.value if found.side_above else None) == side
    assert (found.pixels.value if found.pixels else None) == pixels
    assert found.bytes.value == 10_000_000
    assert (row.outputs_per_call.value, row.outputs_per_text_call.value) == (outputs, text_outputs)


@pytest.mark.parametrize(
    ("gateway", "model", "ratios", "auto", "tiers"),
    [
        ("evolink", SEEDREAM_45, EIGHT | {"4:5", "5:4"}, "always", {"2K", "4K"}),
        ("evolink", SEEDREAM_40, None, "always", {"1K", "2K", "4K"}),
        ("gccai", SEEDREAM_45, EIGHT | {"9:21"}, "with_references", {"2K", "4K"}),
        ("getimg", SEEDREAM_45, EIGHT, "never", {"2K", "4K"}),
        ("apiin", SEEDREAM_45, EIGHT, "never", {"2K", "4K"}),
    ],
)
def test_sizes_are_the_documented_ones(
    gateway: str, model: str, ratios: set[str] | None, auto: str, tiers: set[str]
) -> None:
    """Ratios, `auto` and tiers as each gateway lists them; only Seedream 4.0 knows 1K."""
    row = BY_OFFER[gateway, model]
    assert (row.ratios.value if row.ratios else None) == ratios
    assert row.auto_ratio.value == auto
    assert row.tiers.value == tiers


def test_what_is_sent_as_the_models_name() -> None:
    """The first spelling is the one each document gives as its default."""
    assert {key: row.wire_models.value[0] for key, row in BY_OFFER.items()} == {
        ("evolink", SEEDREAM_45): "doubao-seedream-4.5",
        ("evolink", SEEDREAM_40): "doubao-seedream-4.0",
        ("gccai", SEEDREAM_45): "doubao-seedance-4-5",
        ("getimg", SEEDREAM_45): "seedream-4-5",
        ("apiin", SEEDREAM_45): "seedream/4.5-text-to-image",
    }


def test_a_failed_task_is_free_only_where_a_document_says_so() -> None:
    """EvoLink charges by the images generated; the others state nothing, so nobody knows."""
    billed = {row.gateway: row.failed_task_billed.value for row in CAPABILITIES}
    assert billed == {
        "evolink": Billing.NO,
        "gccai": Billing.UNKNOWN,
        "getimg": Billing.UNKNOWN,
        "apiin": Billing.UNKNOWN,
    }


def test_only_getimg_cannot_be_asked_again() -> None:
    """A synchronous answer that is lost is lost."""
    assert {row.gateway for row in CAPABILITIES if row.refetch is Refetch.NEVER} == {"getimg"}


def test_how_references_travel() -> None:
    """API in One takes links only; EvoLink has a file service; gccai both and data URIs; getimg data URIs."""
    ways = {row.gateway: set(row.references.transports) for row in CAPABILITIES}
    assert ways == {
        "evolink": {Transport.URL, Transport.UPLOAD},
        "gccai": {Transport.URL, Transport.UPLOAD, Transport.INLINE},
        "getimg": {Transport.URL, Transport.INLINE},
        "apiin": {Transport.URL},
    }


def test_every_way_of_a_reference_names_the_document_that_states_it() -> None:
    """EvoLink's and gccai's model pages say nothing of uploads, API in One's nothing of 2K: their sources are others."""
    sources = {(row.gateway, way.value): way.source for row in CAPABILITIES for way in row.references.ways}
    assert "file service" in sources["evolink", Transport.UPLOAD]
    assert "APIMart" in sources["gccai", Transport.UPLOAD]
    assert "gccai, Seedream 4.5 API page" in sources["gccai", Transport.INLINE]
    assert BY_OFFER["apiin", SEEDREAM_45].tiers.source.startswith("KIE")
    assert all(row.defaults.source for row in CAPABILITIES)
    assert {row.gateway for row in CAPABILITIES if row.callback_limits} == {"evolink"}


@given(st.sampled_from(CAPABILITIES), st.integers(0, 20))
def test_a_call_keeps_to_fifteen_images_with_its_references(row: Capability, references: int) -> None:
    """References and outputs of one call are at most 15 where the gateway says so, and never below none."""
    size = row.call_size(references)
    assert 0 <= size <= row.outputs_per_call.value
    if row.references_and_outputs and size:
        assert references + size <= row.references_and_outputs.value == 15


@pytest.mark.parametrize(
    ("gateway", "model", "references", "size"),
    [
        ("evolink", SEEDREAM_45, 0, 15),
        ("evolink", SEEDREAM_45, 1, 14),
        ("evolink", SEEDREAM_45, 14, 1),
        ("evolink", SEEDREAM_45, 15, 0),
        ("evolink", SEEDREAM_40, 10, 5),
        ("gccai", SEEDREAM_45, 0, 1),
        ("gccai", SEEDREAM_45, 1, 14),
        ("getimg", SEEDREAM_45, 0, 1),
        ("getimg", SEEDREAM_45, 10, 1),
        ("apiin", SEEDREAM_45, 14, 1),
    ],
)
def test_call_sizes(gateway: str, model: str, references: int, size: int) -> None:
    """What the gateway makes per call, at most 15 less the references."""
    assert BY_OFFER[gateway, model].call_size(references) == size


def test_a_new_model_version_is_one_more_row() -> None:
    """Preflight, splitting and prices take a model they never heard of from its row alone."""
    newer = replace(
        BY_OFFER["evolink", SEEDREAM_45],
        model="seedream-9.9",
        tiers=Limit(frozenset({"4K"}), "a page that does not exist yet"),
        outputs_per_call=Limit(4, "a page that does not exist yet"),
        outputs_per_text_call=Limit(4, "a page that does not exist yet"),
    )
    job = Job("p1", "hero", SEEDREAM_45, "generate", "A lamp", tier="4K", n=9).having(model="seedream-9.9")
    assert obstacles(job, newer) == []
    assert images_per_call(job, newer) == 4
    assert [each.limit for each in obstacles(job.having(tier="2K"), newer)] == ["tier"]
    price = replace(next(each for each in PRICES if each.gateway == "evolink"), model="seedream-9.9")
    book = PriceBook([*PRICES, price])
    assert book.row("evolink", "seedream-9.9", "4K") == price


def test_every_price_belongs_to_an_offer() -> None:
    """A price row names a gateway, model and tier that exist, with its source and date."""

    def is_sound(row: PriceRow) -> bool:
        offer = BY_OFFER.get((row.gateway, row.model))
        return bool(
            offer and row.tier in {*TIERS, "*"} and (row.tier == "*" or row.tier in offer.tiers.value) and row.source
        )

    assert [row for row in PRICES if not is_sound(row)] == []
