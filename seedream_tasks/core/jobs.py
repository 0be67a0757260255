"""A job: one row and one shot, rendered; and the fingerprint of what decides its images."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from .market import market
from .output_profiles import OutputProfile
from .sizes import asked_aspect

FINGERPRINT_FORM = "v1"
MOST_IMAGES = 15
EDIT = "edit"
# Created once: json.dumps would create a new one for each of a million rows.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_AS_FROZEN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def tidy_prompt(text: str) -> str:
    """NFC, with every run of white space as one blank: the form that is sent, stored and fingerprinted."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference image: where it is, and what its bytes are."""

    uri: str  # without the signature of a signed link where it is kept; see `Job.references`
    sha256: str | None  # of the source bytes; None in a forecast that fetched nothing
    format: str | None = None  # Pillow's name
    width: int | None = None  # px, upright
    height: int | None = None  # px, upright
    bytes: int | None = None
    flaw: str | None = None  # what only conversion fixes: rotated by EXIF, CMYK, 16 bits a channel
    public: bool | None = None  # a link was checked and can be given to a gateway; None: not checked (a forecast)


@dataclass(frozen=True, slots=True)
class JobName:
    """Enough of a job to follow its attempts and to store its images; the ledger can restore it by job_key."""

    row_key: str
    shot: str
    fingerprint: str
    aspect: float | None  # width/height asked for; None where the model decides
    edits: tuple[str, ...] = ()  # source photographs of an edit: sha256, or the URI where nothing was fetched

    @classmethod
    def from_ledger(cls, row_key: str, shot: str, fingerprint: str, decides: Mapping[str, Any]) -> "JobName":
        """From what the ledger keeps of a job, see `Job.decides`."""
        size = decides["size"]
        edits = tuple(decides.get("references", ())) if decides["operation"] == EDIT else ()
        return cls(row_key, shot, fingerprint, asked_aspect(size.get("ratio"), size.get("pixels")), edits)


@dataclass(frozen=True)  # without slots: what is computed from the fields is kept
class Job:
    """The wanted images, independent of the gateway they are bought from.

    `Job(...)` checks every field as a shot's fields are checked, and raises InputError naming the field and its limit.
    `references` may be links, paths (relative ones below the working folder), bytes or `Reference`.
    """

    row_key: str
    shot: str
    model: str
    operation: str  # "generate" or "edit"
    prompt: str  # tidy
    ratio: str | None = "1:1"  # None when pixels are given
    tier: str | None = "2K"
    pixels: str | None = None  # WIDTHxHEIGHT, instead of ratio and tier
    n: int = 1
    references: tuple[Reference, ...] = ()
    speed: str = "standard"
    watermark: bool = False
    output_format: str | None = None
    edition: str | None = None
    top_up: bool = False
    gateways: tuple[str, ...] = ()  # only these; empty: any configured one
    gateway_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    slots: tuple[
        int, ...
    ] = ()  # only these of the n are wanted: the others exist already, from an earlier job; empty: all
    output: OutputProfile | None = None  # a further file made of each image

    def __post_init__(self) -> None:
        from .job_input import checked_fields

        self.__dict__.update(checked_fields(self._fields()))

    @classmethod
    def from_row(cls, row: Mapping[str, Any], shot: Any, key: str | None = None) -> "Job":
        """The job that a row (cells by column) and a shot (its fields, or a `Shot`) make, as a catalog's row would.

        `key`: the column that identifies the row; default: sku, id or handle. Raises InputError; a RowError when the row
        does not fit, or the shot's `when` is false for it.
        """
        from .job_input import job_of_row

        return cls(**job_of_row(row, shot, key))

    @classmethod
    def made(cls, **values: Any) -> "Job":
        """A job from checked fields, without checking them again; used by the engine."""
        job = object.__new__(cls)
        job.__dict__.update(_DEFAULTS, gateway_options={})
        job.__dict__.update(values)
        return job

    def having(self, **changes: Any) -> "Job":
        """The same job with other checked fields."""
        return self.made(**{**self._fields(), **changes})

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}

    @cached_property
    def name(self) -> "JobName":
        """The part of a job that is needed after purchase."""
        edits = tuple(each.sha256 or each.uri for each in self.references) if self.operation == EDIT else ()
        return JobName(self.row_key, self.shot, self.fingerprint, asked_aspect(self.ratio, self.pixels), edits)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over canonical JSON of what decides the images; see `decides`."""
        return hashlib.sha256(canonical_json(self.decides())).hexdigest()

    @cached_property
    def job_key(self) -> str:
        """Row key, shot and fingerprint: the name under which the ledger knows this job."""
        return job_key(self.row_key, self.shot, self.fingerprint)

    def decides(self) -> dict[str, Any]:
        """The values that decide the images, without defaults. Changing one buys new images."""
        values: dict[str, Any] = {
            "form": FINGERPRINT_FORM,
            "model": self.model,
            "operation": self.operation,
            "prompt": self.prompt,
            "size": {"pixels": self.pixels} if self.pixels else {"ratio": self.ratio, "tier": self.tier},
        }
        if self.references:
            values["references"] = [reference.sha256 or reference.uri for reference in self.references]
        if self.edition:
            values["edition"] = self.edition
        if self.speed != "standard":
            values["speed"] = self.speed
        if self.watermark:
            values["watermark"] = True
        if self.output_format:
            values["output_format"] = self.output_format
        options = {
            gateway: kept
            for gateway, given in self.gateway_options.items()
            if (kept := {name: value for name, value in given.items() if _decides(gateway, name, value)})
        }
        if options:
            values["gateway_options"] = options
        return values

    def as_json(self) -> str:
        """The whole job as stored in the frozen run."""
        values = self._fields()
        values["references"] = [asdict(each) for each in self.references]
        values["output"] = None if self.output is None else asdict(self.output)
        return _AS_FROZEN.encode(values)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The inverse of `as_json`."""
        values = json.loads(text)
        values["references"] = tuple(Reference(**each) for each in values["references"])
        values["gateways"] = tuple(values["gateways"])
        values["slots"] = tuple(values["slots"])
        if values["output"] is not None:
            values["output"] = OutputProfile(**values["output"])
        return cls.made(**values)


_FIELDS = tuple(each.name for each in fields(Job))
_DEFAULTS = {each.name: each.default for each in fields(Job) if each.default is not MISSING}


def _decides(gateway: str, name: str, value: Any) -> bool:
    """Whether an option affects the images. Raises ConfigurationError when its gateway is not installed: the fingerprint would
    change, and the images would be bought again.
    """
    option = market().at(gateway).options.get(name)
    return option is None or (option.decides and option.default != value)


def job_key(row_key: str, shot: str, fingerprint: str) -> str:
    """The shot's name holds no slash, so the key reads back unambiguously from its end."""
    return f"{row_key}/{shot}/{fingerprint}"


def canonical_json(value: Any) -> bytes:
    """One byte string per value: sorted keys, no blanks, UTF-8."""
    return _CANONICAL.encode(value).encode()
