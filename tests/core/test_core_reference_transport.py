"""How a reference travels, and what has to be changed for it: decided from figures, before anything is sent."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from on_offer import BY_OFFER, CAPABILITIES, SEEDREAM_45

from seedream_tasks.core.capabilities import Capability, Limit, Transport
from seedream_tasks.core.jobs import Reference
from seedream_tasks.core.reference_transport import Presentation, presentation, presentations

EVOLINK, GCCAI, GETIMG, APIIN = (BY_OFFER[name, SEEDREAM_45] for name in ("evolink", "gccai", "getimg", "apiin"))
URL, UPLOAD, INLINE = Transport.URL, Transport.UPLOAD, Transport.INLINE


def photo(uri: str = "https://shop.example/lamp.jpg", **measures: Any) -> Reference:
    """A reference that every gateway takes, unless it is said otherwise."""
    fields: dict[str, Any] = {"sha256": "0" * 64, "format": "JPEG", "width": 1000, "height": 800, "bytes": 300_000}
    return Reference(uri, **{**fields, **measures})


TRANSPORTS = [
    ("https://shop.example/lamp.jpg", None, URL, URL, URL, URL),
    ("HTTPS://shop.example/lamp.jpg", None, URL, URL, URL, URL),
    ("https://shop.example/lamp.jpg", True, URL, URL, URL, URL),
    ("https://intranet.example/lamp.jpg", False, UPLOAD, UPLOAD, INLINE, None),
    ("http://shop.example/lamp.jpg", None, UPLOAD, UPLOAD, INLINE, None),
    ("http://shop.example/lamp.jpg", False, UPLOAD, UPLOAD, INLINE, None),
    ("data:image/png;base64,AAAA", False, UPLOAD, UPLOAD, INLINE, None),
    ("images/lamp.jpg", False, UPLOAD, UPLOAD, INLINE, None),
    ("s3://bucket/lamp.jpg", None, UPLOAD, UPLOAD, INLINE, None),
    ("s3://bucket/lamp.jpg", False, UPLOAD, UPLOAD, INLINE, None),
    ("s3://bucket/signed.jpg", True, URL, URL, URL, URL),
]


@pytest.mark.parametrize(("uri", "public", "evolink", "gccai", "getimg", "apiin"), TRANSPORTS)
def test_how_a_reference_travels(
    uri: str,
    public: bool | None,
    evolink: Transport | None,
    gccai: Transport | None,
    getimg: Transport | None,
    apiin: Transport | None,
) -> None:
    """What can be linked goes as a link; everything else is uploaded, else inlined, else cannot be had there."""
    ways = [presentation(photo(uri, public=public), row) for row in (EVOLINK, GCCAI, GETIMG, APIIN)]
    assert [each and each.way for each in ways] == [evolink, gccai, getimg, apiin]
    assert not any(each.changes for each in ways if each)


MENDED: list[tuple[Capability, dict[str, Any], Transport, list[str]]] = [
    (EVOLINK, {"format": "TIFF"}, URL, []),
    (EVOLINK, {"format": "TIFF", "public": False}, UPLOAD, ["reference_format"]),
    (EVOLINK, {"format": "AVIF"}, UPLOAD, ["reference_format"]),
    (EVOLINK, {"flaw": "turned by EXIF"}, UPLOAD, ["reference_flaw"]),
    (GCCAI, {"format": "WEBP"}, UPLOAD, ["reference_format"]),
    (GCCAI, {"bytes": 10_000_001}, UPLOAD, ["reference_bytes"]),
    (GCCAI, {"width": 6000, "height": 6001}, UPLOAD, ["reference_pixels"]),
    (GETIMG, {"format": "WEBP"}, URL, []),
    (GETIMG, {"format": "GIF", "flaw": "in CMYK colors"}, INLINE, ["reference_format", "reference_flaw"]),
]


@pytest.mark.parametrize(("row", "measures", "way", "changes"), MENDED)
def test_what_is_converted(row: Capability, measures: dict[str, Any], way: Transport, changes: list[str]) -> None:
    """A copy is made where the file as it is would be refused, and goes as a file: a link leads to the original."""
    found = presentation(photo(**measures), row)
    assert found is not None
    assert (found.way, [each.limit for each in found.changes]) == (way, changes)


def test_links_only_means_no_copies() -> None:
    """Where nothing but links is taken, a file that needs converting cannot be presented."""
    assert presentation(photo(format="GIF"), APIIN) is None
    assert presentation(photo(flaw="in CMYK colors"), APIIN) is None


def test_a_gateway_without_common_formats_gets_no_copies() -> None:
    """Copies are JPEG or PNG."""
    odd = replace(GETIMG, references=replace(GETIMG.references, formats=Limit(frozenset({"WEBP"}), "test")))
    assert presentation(photo("a.gif", format="GIF"), odd) is None
    assert presentation(photo("a.webp", format="WEBP"), odd) is not None


SIZES = st.lists(st.integers(1, 60_000_000), min_size=1, max_size=10)


@given(SIZES, st.sampled_from(CAPABILITIES))
def test_inlined_references_fit_one_request(sizes: list[int], row: Capability) -> None:
    """However many and large they are: base64 and the rest of the request counted in, and what is small stays as it is."""
    photos = [photo("images/lamp.jpg", bytes=size) for size in sizes]
    ways = presentations(photos, row)
    sent = [(each, size) for each, size in zip(ways, sizes, strict=True) if each is not None]
    assert all(each.changes or size <= each.fits.most_bytes for each, size in sent)
    assert all(each.fits.most_bytes <= row.references.bytes.value for each, _ in sent)
    if row.references.request_bytes:
        weights = [each.fits.most_bytes if each.changes else size for each, size in sent]
        assert sum(weights) * 4 / 3 + 10_000 <= row.references.request_bytes.value
        assert all(not each.changes for each, size in sent if size <= 1_900_000)


def test_the_recipe_names_the_copy() -> None:
    """Two gateways that take the same get the same copy; other limits make another one."""

    def recipe(found: Presentation | None) -> str:
        assert found is not None
        return found.fits.recipe

    turned = photo("images/lamp.jpg", flaw="turned by EXIF")
    assert recipe(presentation(turned, EVOLINK)) == recipe(presentation(turned, GCCAI))
    assert recipe(presentation(turned, EVOLINK, 5_000_000)) != recipe(presentation(turned, EVOLINK))
