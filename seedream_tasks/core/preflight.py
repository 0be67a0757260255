"""Whether a gateway can do a job, before any money moves: every obstacle names the field, the limit and its source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .capabilities import Capability, Transport
from .jobs import Job, Reference
from .reference_transport import Presentation, findings, may_be_linked, presentations
from .secrets import without_secrets
from .sizes import AUTO, parse_pixels, pixels_for


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why one gateway cannot do one job."""

    gateway: str
    limit: str  # machine-readable name of the limit; becomes the record's error_code
    field: str  # the shot field at fault
    message: str  # what was asked, what is allowed, and who says so

    def __str__(self) -> str:
        return f"{self.gateway}: {self.message}"


def obstacles(job: Job, row: Capability) -> list[Obstacle]:
    """Every reason why this offer cannot do this job; empty when it can."""
    found: list[Obstacle] = []

    def refuse(limit: str, field: str, message: str) -> None:
        found.append(Obstacle(row.gateway, limit, field, message))

    if job.gateways and row.gateway not in job.gateways:
        refuse("gateways", "gateways", f"the shot names only {', '.join(job.gateways)}")
    for limit, field, message in (*_size(job, row), *_options(job, row), *_references(job, row)):
        refuse(limit, field, message)
    length = prompt_length(job, row)
    if row.prompt_chars and length > row.prompt_chars.value:
        refuse(
            "prompt_length",
            "prompt",
            f"the prompt has {length} characters, at most {row.prompt_chars.value} ({row.prompt_chars.source})",
        )
    return found


def images_per_call(job: Job, row: Capability) -> int:
    """Most images of this job per call to this gateway; 0 when its references leave no room."""
    size = row.call_size(len(job.references))
    options = job.gateway_options.get(row.gateway, {})
    if options.get("sequential_image_generation") == "disabled":
        size = min(size, 1)
    return min(size, int(options.get("max_images", size)))


def prompt_for(job: Job, row: Capability, images: int) -> str:
    """The prompt sent for a call of that many images: with the gateway's group hint unless it is switched off."""
    wants_hint = job.gateway_options.get(row.gateway, {}).get("prompt_hint", True)
    if row.group_hint is None or images < 2 or not wants_hint:
        return job.prompt
    return f"{job.prompt} {row.group_hint.value.format(n=images)}"


def prompt_length(job: Job, row: Capability) -> int:
    """Characters of the prompt with the longest hint, so that every split of the job fits."""
    return len(prompt_for(job, row, min(job.n, max(1, images_per_call(job, row)))))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))


_Finding = tuple[str, str, str]


def _size(job: Job, row: Capability) -> Iterator[_Finding]:
    if job.pixels:
        size = parse_pixels(job.pixels)
        if row.pixels is None:
            yield (
                "pixels",
                "pixels",
                f"takes no explicit size such as {job.pixels}, only a ratio and a tier ({row.tiers.source})",
            )
        elif size is None or not row.pixels.value.holds(*size):
            yield "pixels", "pixels", f"{job.pixels} is outside {row.pixels.value} ({row.pixels.source})"
        return
    tier, ratio = job.tier or "2K", job.ratio or "1:1"
    if tier not in row.tiers.value:
        yield "tier", "tier", f"{tier} is not among {_listed(row.tiers.value)} ({row.tiers.source})"
        return
    if ratio == AUTO:
        if row.auto_ratio.value == "never":
            yield "ratio", "ratio", f"takes no ratio `auto` ({row.auto_ratio.source})"
        elif row.auto_ratio.value == "with_references" and not job.references:
            yield "ratio", "ratio", f"ratio `auto` needs a reference ({row.auto_ratio.source})"
    elif row.ratios is None:
        width, height = pixels_for(ratio, tier)
        if row.pixels and not row.pixels.value.holds(width, height):
            yield (
                "ratio",
                "ratio",
                f"{ratio} at {tier} is {width}x{height}, outside {row.pixels.value} ({row.pixels.source})",
            )
    elif ratio not in row.ratios.value:
        yield "ratio", "ratio", f"{ratio} is not among {_listed(row.ratios.value)} ({row.ratios.source})"


def _options(job: Job, row: Capability) -> Iterator[_Finding]:
    if job.speed not in row.speeds.value:
        yield "speed", "speed", f"speed {job.speed} is not among {_listed(row.speeds.value)} ({row.speeds.source})"
    if job.watermark and not row.watermark.value:
        yield "watermark", "watermark", f"cannot add a watermark ({row.watermark.source})"
    if job.output_format:
        if row.output_formats is None:
            yield (
                "output_format",
                "output_format",
                f"cannot choose {job.output_format}: there is no such field ({row.wire_models.source})",
            )
        elif job.output_format not in row.output_formats.value:
            yield (
                "output_format",
                "output_format",
                f"{job.output_format} is not among {_listed(row.output_formats.value)} ({row.output_formats.source})",
            )
    for name in job.gateway_options.get(row.gateway, {}):
        if name not in row.options.value:
            yield "gateway_options", "gateway_options", f"{row.model} has no option {name} ({row.options.source})"


def _references(job: Job, row: Capability) -> Iterator[_Finding]:
    if not job.references:
        return
    limits = row.references
    count = len(job.references)
    if count > limits.count.value:
        yield (
            "reference_count",
            "references",
            f"{count} references, at most {limits.count.value} ({limits.count.source})",
        )
    elif row.call_size(count) < 1 and row.references_and_outputs:
        most = row.references_and_outputs
        yield (
            "references_and_outputs",
            "references",
            f"{count} references leave no room for an image: {most.value} in all ({most.source})",
        )
    for reference, way in zip(job.references, presentations(job.references, row), strict=True):
        for limit, message in _reference(reference, way, row):
            yield limit, "references", f"{shown(reference.uri)}: {message}"


def _reference(reference: Reference, way: Presentation | None, row: Capability) -> Iterator[tuple[str, str]]:
    """Limits that no conversion can meet."""
    limits = row.references
    if way is None and not may_be_linked(reference) and limits.transports == (Transport.URL,):
        yield (
            "reference_transport",
            f"can only be sent as url, a public https link that can be fetched; it is not one ({limits.count.source})",
        )
    elif way is None:
        for found in findings(reference, row, limits.transports[-1]):
            yield found.limit, f"{found.message}; a converted copy cannot be sent, since it takes links only"
    if reference.width is None or reference.height is None:
        return
    width, height = reference.width, reference.height
    if limits.side_above and min(width, height) <= limits.side_above.value:
        yield (
            "reference_side",
            f"is {width}x{height} px, both sides must be above {limits.side_above.value} ({limits.side_above.source})",
        )
    if limits.aspect and not limits.aspect.value[0] <= width / height <= limits.aspect.value[1]:
        low, high = limits.aspect.value
        yield (
            "reference_aspect",
            f"is {width}x{height} px, width/height {width / height:.3f} is outside 1/{round(1 / low)} to {high:g}"
            f" ({limits.aspect.source})",
        )


def shown(uri: str) -> str:
    """A reference's name in messages: a data URI's first characters, a link without its query (it may be signed)."""
    if uri.startswith("data:"):
        return f"{uri[:30]}..."
    return without_secrets(uri).split("?", 1)[0]
