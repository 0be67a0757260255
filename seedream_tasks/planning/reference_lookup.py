"""Checks references for a plan: each once per run, even if many records share it; unchanged ones are not fetched."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..core.errors import ReferenceFault
from ..core.jobs import Reference
from ..ledger.reference_cache import CachedReference, known_sources, remember_sources
from ..ledger.writer import Ledger
from ..references.places import is_readable_link, without_signature
from ..references.reader import References, Remembered

# References kept in memory. Evicted ones are read again from the ledger, where they are stored as seen in this run.
_KEPT = 20_000
# Longer URIs (mostly data URIs) are identified by their hash.
_LONG = 2_000


@dataclass(frozen=True, slots=True)
class Looked:
    """The result for one reference."""

    found: Reference | ReferenceFault
    unreachable: bool = False  # as remembered: good for reuse, never for a purchase
    source: CachedReference | None = None  # to be remembered


class ReferenceLookup:
    """Checks the references of one catalog. `fetch` is False for a forecast, which sends nothing."""

    def __init__(self, references: References, ledger: Ledger | None, fetch: bool) -> None:
        self._references = references
        self._ledger = ledger
        self._fetch = fetch
        self._began = datetime.now(UTC)
        self._kept: OrderedDict[str, Looked] = OrderedDict()

    def look(self, uris: Iterable[str], fetchers: ThreadPoolExecutor) -> dict[str, Looked]:
        """The results for these URIs. Raises LedgerFault."""
        found: dict[str, Looked] = {}
        new: list[str] = []
        for uri in dict.fromkeys(uris):
            kept = self._kept.get(_name(uri))
            if kept is None:
                new.append(uri)
            else:
                self._kept.move_to_end(_name(uri))
                found[uri] = replace(kept, found=_called(kept.found, uri))
        known = self._known(new)
        looked = dict(zip(new, fetchers.map(lambda uri: self._look(uri, known.get(uri)), new), strict=True))
        self._remember(looked)
        for uri, each in looked.items():
            # Without its URI: a data URI holds the whole image.
            self._kept[_name(uri)] = replace(each, found=_called(each.found, ""), source=None)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found | looked

    def _look(self, uri: str, known: CachedReference | None) -> Looked:
        if not is_readable_link(uri):
            return Looked(ReferenceFault(f"{uri[:80]} is not a link", uri=uri))
        try:
            remote = self._references.is_remote(uri)
        except ReferenceFault as fault:
            return Looked(fault)
        remembered = None if known is None else _reference(uri, known)
        if remote and not self._fetch:
            # A forecast uses what an earlier run found, and counts the rest as unchecked.
            return Looked(remembered or Reference(uri, None))
        if known is not None and remembered is not None and known.seen_at >= self._began:
            return Looked(remembered)
        try:
            found, validator = self._references.look(
                uri, Remembered(known.validator, remembered) if known and remembered else None
            )
        except ReferenceFault as fault:
            if remembered is not None:
                return Looked(remembered, unreachable=True)
            # A new one: the raised one keeps the file's bytes alive through its traceback.
            return Looked(ReferenceFault(fault.message, **fault.facts))
        return Looked(found, source=_source(found, validator) if remote else None)

    def _known(self, uris: Iterable[str]) -> dict[str, CachedReference]:
        names = self._names(uris)
        if self._ledger is None or not names:
            return {}
        known = self._ledger.read_now(lambda connection: known_sources(connection, list(dict.fromkeys(names.values()))))
        return {uri: known[name] for uri, name in names.items() if name in known}

    def _remember(self, looked: Mapping[str, Looked]) -> None:
        names = self._names(uri for uri, each in looked.items() if each.source is not None)
        if self._ledger is not None and names:
            found = {names[uri]: each.source for uri, each in looked.items() if each.source is not None}
            self._ledger.write_now(lambda connection: remember_sources(connection, found))

    def _names(self, uris: Iterable[str]) -> dict[str, str]:
        """The ledger's names for the remote ones."""
        names = {}
        for uri in uris:
            try:
                if is_readable_link(uri) and self._references.is_remote(uri):
                    names[uri] = without_signature(self._references.address(uri))
            except ReferenceFault:
                continue  # its place in the plan says why
        return names


def _called(found: Reference | ReferenceFault, uri: str) -> Reference | ReferenceFault:
    return replace(found, uri=uri) if isinstance(found, Reference) else found


def _name(uri: str) -> str:
    return uri if len(uri) < _LONG else hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()


def _reference(uri: str, known: CachedReference) -> Reference:
    return Reference(uri, known.sha256, known.format, known.width, known.height, known.bytes, known.flaw, known.public)


def _source(found: Reference, validator: str | None) -> CachedReference:
    return CachedReference(
        validator or "",
        found.sha256 or "",
        found.format or "",
        found.width or 0,
        found.height or 0,
        found.bytes or 0,
        found.flaw,
        bool(found.public),
        datetime.now(UTC),
    )
