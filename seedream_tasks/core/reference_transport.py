"""How a reference is sent to a gateway, and how it must be converted for that: values in, values out.

The first way that the gateway accepts is used. A converted copy cannot be sent as a link, since the link leads to the original.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .capabilities import Capability, Transport
from .jobs import Reference

# Formats of copies.
WRITTEN = frozenset({"JPEG", "PNG"})
# Room in a request for what is not an inlined reference: prompt, sizes, links.
_REST_OF_REQUEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """A limit that an unconverted reference violates."""

    limit: str  # machine-readable name
    message: str  # the figures, and who says so


@dataclass(frozen=True, slots=True)
class Fits:
    """The limits of a copy."""

    formats: frozenset[str]  # Pillow's names
    most_bytes: int
    most_pixels: int | None
    side_above: int | None  # px
    aspect: tuple[float, float] | None  # width/height

    @property
    def recipe(self) -> str:
        """Identifies the copy of a source: the same source and recipe give the same bytes."""
        return f"{'+'.join(sorted(self.formats & WRITTEN))}-{self.most_bytes}-{self.most_pixels or 'any'}"


@dataclass(frozen=True, slots=True)
class Presentation:
    """How one reference is sent to one gateway."""

    way: Transport
    changes: tuple[Finding, ...]  # why a copy is sent; empty: the original file
    fits: Fits


def presentations(references: Sequence[Reference], row: Capability) -> list[Presentation | None]:
    """One for each reference of a job, in order; None for one that cannot be sent there."""
    found = [presentation(each, row) for each in references]
    if row.references.request_bytes is None:
        return found
    inlined = [number for number, each in enumerate(found) if each is not None and each.way is Transport.INLINE]
    # Base64 is four characters for three bytes.
    room = row.references.request_bytes.value * 3 // 4 - _REST_OF_REQUEST
    most = row.references.bytes.value

    def wanted(number: int) -> int:
        each = found[number]
        return most if each is None or each.changes else references[number].bytes or 0

    for done, number in enumerate(sorted(inlined, key=wanted)):
        share = min(most, room // (len(inlined) - done))
        found[number] = presentation(references[number], row, share)
        room -= min(wanted(number), share)
    return found


def presentation(reference: Reference, row: Capability, most_bytes: int | None = None) -> Presentation | None:
    """How a reference is sent, with at most so many bytes; None when it cannot be."""
    for way in row.references.transports:
        if way is Transport.URL and not may_be_linked(reference):
            continue
        fits = _fits(row, way, most_bytes)
        changes = findings(reference, row, way, fits)
        if changes and (way is Transport.URL or not fits.formats & WRITTEN):
            continue
        return Presentation(way, tuple(changes), fits)
    return None


def may_be_linked(reference: Reference) -> bool:
    """Whether a gateway can be given a link: a checked one or, in a forecast, one that looks public."""
    if reference.public is None:
        return reference.uri.lower().startswith("https://")
    return reference.public


def unlinked(reference: Reference) -> Reference:
    """The same reference without a usable link."""
    return replace(reference, public=False)


def _fits(row: Capability, way: Transport, most_bytes: int | None) -> Fits:
    limits = row.references
    formats = limits.formats.value
    if way is Transport.UPLOAD and limits.upload_formats:
        formats &= limits.upload_formats.value
    return Fits(
        formats,
        limits.bytes.value if most_bytes is None else min(most_bytes, limits.bytes.value),
        limits.pixels.value if limits.pixels else None,
        limits.side_above.value if limits.side_above else None,
        limits.aspect.value if limits.aspect else None,
    )


def findings(reference: Reference, row: Capability, way: Transport, fits: Fits | None = None) -> list[Finding]:
    """What prevents sending a reference this way unconverted, and conversion would fix."""
    limits, fits = row.references, fits or _fits(row, way, None)
    found = []
    if reference.format and reference.format not in limits.formats.value:
        listed = ", ".join(sorted(limits.formats.value))
        found.append(
            Finding("reference_format", f"is {reference.format}, not one of {listed} ({limits.formats.source})")
        )
    elif reference.format and reference.format not in fits.formats and limits.upload_formats:
        found.append(
            Finding(
                "reference_format",
                f"is {reference.format} and would have to be uploaded, which takes"
                f" {', '.join(sorted(limits.upload_formats.value))} ({limits.upload_formats.source})",
            )
        )
    if reference.flaw:
        found.append(Finding("reference_flaw", f"is {reference.flaw}"))
    if reference.bytes is not None and reference.bytes > limits.bytes.value:
        found.append(
            Finding(
                "reference_bytes",
                f"has {reference.bytes:,} bytes, at most {limits.bytes.value:,} ({limits.bytes.source})",
            )
        )
    elif reference.bytes is not None and reference.bytes > fits.most_bytes and limits.request_bytes:
        found.append(
            Finding(
                "request_bytes",
                f"has {reference.bytes:,} bytes, too many for a request of at most {limits.request_bytes.value:,}"
                f" with the references beside it ({limits.request_bytes.source})",
            )
        )
    if limits.pixels and reference.width and reference.height:
        pixels = reference.width * reference.height
        if pixels > limits.pixels.value:
            found.append(
                Finding(
                    "reference_pixels",
                    f"has {pixels:,} pixels, at most {limits.pixels.value:,} ({limits.pixels.source})",
                )
            )
    return found
