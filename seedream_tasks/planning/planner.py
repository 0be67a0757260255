"""Planning: every row and shot becomes a frozen record before anything is bought. A forecast is the same pass, not stored."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..catalog.presets import Product, advice, find_preset, fitting_preset, listed
from ..catalog.presets.bad_cells import refusing
from ..catalog.presets.products import GIVEN
from ..catalog.strays import stray
from ..catalog.tables import Table
from ..config.run_options import RunOptions
from ..core.capabilities import Capability
from ..core.choices import Choices
from ..core.column_names import BadCell
from ..core.errors import InputError, ReferenceFault, RowError
from ..core.invisible import as_key
from ..core.jobs import Job
from ..core.money import ZERO
from ..core.placeholders import check_places
from ..core.price_book import PriceBook
from ..core.pricing import Quote
from ..core.render import (
    Columns,
    build_job,
    check_templates,
    column_fields,
    is_wanted,
    render_job,
)
from ..core.routing import Route
from ..core.shots import SHOT_NAME, Shot
from ..core.slots import wanted
from ..core.states import Reason
from ..core.template_values import MARKS
from ..ledger.values import JobView
from ..ledger.writer import Ledger
from ..references.reader import References
from ..runs.frozen import FrozenRecord
from .cell_warnings import Notices, names_for_templates
from .column_amounts import marks_of
from .drafts import Draft, unreadable, where
from .first_records import FirstRecords
from .image_presence import Presence
from .lookups import LookedUp, Lookup
from .reasons import why
from .reference_lookup import ReferenceLookup
from .row_keys import Keys, no_rows

_BATCH = 512
_FETCHERS = 8


@dataclass(frozen=True)
class Planned:
    """One record and its forecast."""

    record: FrozenRecord
    view: JobView | None
    route: Route | None = None
    quoted: Quote | None = None  # for what is to be bought, if it can be
    slots: tuple[int, ...] = ()  # to be bought
    unpriced: bool = False
    unchecked: bool = False


class Planner:
    """Reads a catalog once. `shots` is None in column mode; `ledger` is None for a forecast without one.

    A forecast has `fetch` False and no `presence`: it fetches nothing and trusts the ledger on what is archived.
    """

    def __init__(
        self,
        table: Table,
        options: RunOptions,
        shots: Sequence[Shot] | None,
        references: References,
        capabilities: Mapping[str, Mapping[str, Capability]],
        prices: PriceBook,
        ledger: Ledger | None,
        fetch: bool,
        presence: Presence | None = None,
    ) -> None:
        self.rows = 0
        self._preset = find_preset(options.preset, table, options.key is not None)
        self._keys = Keys(table, options.preset, options.key)
        self._table = table = self._keys.table
        self._options = options
        self._shots = shots
        self._defaults = options.defaults()
        self._looker = ReferenceLookup(references, ledger, fetch)
        self._capabilities = capabilities
        self._choices = Choices(capabilities, prices, options.max_premium)
        self._lookup = Lookup(ledger, presence, options.retry)
        self._columns = Columns(table.columns)
        self._notices = Notices(table.uri, self._columns, options.preset)
        self._given: tuple[str, ...] = ()
        self._marks = marks_of(table.schema, self._columns, self._products)
        self._first = FirstRecords()
        self._chosen: set[str] = set()  # row keys to buy for, under a limit
        self._only = {as_key(key) for key in options.only}
        if shots is None and "prompt" not in table.columns:
            raise InputError(
                f"{table.uri}: without a shot list the catalog needs a column `prompt`; it has {listed(table.columns)}"
                f"{table.facts.where_columns_are()}",
                field="prompt",
                hint=self._hint("give --shots FILE", "; "),
            )
        for shot in shots or ():
            check_templates(shot)
            check_places(shot, self._columns, GIVEN if options.preset is not None else ())

    @property
    def key_column(self) -> str | None:
        """The column that identifies a row; None if the preset provides the key."""
        return self._keys.column

    @property
    def warnings(self) -> list[str]:
        """Warnings about the catalog; more may be added while it is read."""
        return [*self._table.facts.warnings, *self._keys.warnings, *self._notices.warnings]

    @property
    def names(self) -> list[tuple[str, str]]:
        """The names that templates may use, with their columns; a preset's own are known once a row has been planned."""
        return names_for_templates(self._columns, self._given)

    def _hint(self, way: str, between: str) -> str:
        """What to do, with the matching preset if there is one."""
        fits = fitting_preset(self._table.columns) if self._options.preset is None else None
        return f"{way}{between}{advice(fits)}" if fits else way

    def plan(self) -> Iterator[Planned]:
        """Every record, in catalog order. Raises InputError if the catalog cannot be read to its end."""
        with ThreadPoolExecutor(_FETCHERS, "seedream-references") as fetchers:
            batch: list[Draft] = []
            for product in self._products():
                self.rows += 1
                self._notices.see(product)
                batch += self._drafts(product)
                if len(batch) >= _BATCH:
                    yield from self._decided(batch, fetchers)
                    batch = []
            yield from self._decided(batch, fetchers)
        if not self.rows:
            raise no_rows(self._table)

    def _products(self) -> Iterator[Product]:
        preset = self._options.preset
        return self._preset(refusing(self._table, preset) if preset else self._table)

    # From a product to drafts

    def _drafts(self, product: Product) -> list[Draft]:
        """A record for each shot. A row that no shot applies to claims no key: another row with the same key may be bought."""
        drafts = list(self._rendered(product))
        if all(draft.reason is Reason.CONDITION_FALSE for draft in drafts):
            for draft in drafts:
                draft.claims_key = False
        return drafts

    def _rendered(self, product: Product) -> Iterator[Draft]:
        row_key = self._keys.of(product)
        if isinstance(row_key, BadCell):
            product.error = product.error or f"line {product.line}: the key: {row_key.why}"
        written, row_key = row_key.strip(), as_key(row_key)
        if self._keys.place is not None and self._options.preset is not None:
            product.extra["key"] = written
        self._given = self._given or tuple(product.extra)
        context = self._columns.context(product.cells, product.extra) | {MARKS: self._marks}
        if self._shots is None:
            cells = dict(zip(self._columns.names, product.cells, strict=True))
            name = cells.get("shot", "").strip() or "image"
            draft = Draft(product, name, row_key or None)
            if self._usable(draft):
                self._render(draft, lambda: self._from_columns(name, written, cells, context))
            yield draft
            return
        for shot in self._shots:
            draft = Draft(product, shot.name, row_key or None)
            if self._usable(draft):
                self._render(draft, lambda shot=shot: self._from_shot(shot, written, context))  # type: ignore[misc]
            yield draft

    def _usable(self, draft: Draft) -> bool:
        if draft.product.error:
            draft.refuse(Reason.INVALID, "invalid", draft.product.error_code, unreadable(draft.product))
        elif draft.product.not_for_sale:
            why = f"{where(draft)}: not for sale: {draft.product.not_for_sale}"
            draft.refuse(Reason.NOT_FOR_SALE, "skipped", "not_for_sale", why)
        elif draft.row_key is None:
            draft.refuse(Reason.MISSING_KEY, "invalid", "missing_key", f"{where(draft)}: the key is empty")
        return draft.settled is None

    def _from_columns(
        self, name: str, row_key: str, cells: Mapping[str, str], context: Mapping[str, Any]
    ) -> Job | None:
        if not SHOT_NAME.fullmatch(name):
            raise RowError(f"shot: {name!r} is not 1 to 40 of a-z, 0-9 and -", field="shot", error_code="bad_field")
        condition = cells.get("when", "").strip()
        if condition and not is_wanted(Shot(name, when=condition), context):
            return None
        return build_job(row_key, name, column_fields(cells, self._defaults))

    def _from_shot(self, shot: Shot, row_key: str, context: Mapping[str, Any]) -> Job | None:
        return render_job(shot, row_key, context) if is_wanted(shot, context) else None

    def _render(self, draft: Draft, make: Callable[[], Job | None]) -> None:
        try:
            draft.job = draft.as_written = make()
        except RowError as error:
            code = error.facts.get("error_code", "invalid")
            draft.refuse(Reason.INVALID, "invalid", code, f"{where(draft)}: {error.message}")
            return
        if draft.job is None:
            draft.refuse(
                Reason.CONDITION_FALSE, "skipped", "condition_false", f"{where(draft)}: its condition is false"
            )
        elif self._options.preset is not None and not draft.product.extra["title"]:
            draft.refuse(Reason.INVALID, "invalid", "empty_title", f"{where(draft)}: the title is empty")
        elif why := stray(self._columns.names, draft.product.cells, draft.row_key or ""):
            draft.refuse(Reason.INVALID, "invalid", "not_a_product", f"{where(draft)}: {why}")
        else:
            draft.look_through()

    # References

    def _resolve(self, drafts: Sequence[Draft], fetchers: ThreadPoolExecutor) -> None:
        open_drafts = [draft for draft in drafts if draft.job and draft.settled is None and draft.job.references]
        looked = self._looker.look(
            (reference.uri for draft in open_drafts if draft.job for reference in draft.job.references), fetchers
        )
        for draft in open_drafts:
            if draft.job is None:
                continue
            resolved = []
            for reference in draft.job.references:
                found = looked[reference.uri].found
                if isinstance(found, ReferenceFault):
                    code = found.facts.get("error_code", "reference_unreadable")
                    draft.refuse(Reason.INVALID, "invalid", code, f"{where(draft)}: references: {found.message}")
                    break
                resolved.append(found)
                draft.unchecked |= found.sha256 is None
                if looked[reference.uri].unreachable:
                    draft.unreachable = True
                    draft.warnings = ("reference_unreachable",)
            else:
                draft.job = draft.job.having(references=tuple(resolved))

    # Against each other, the gateways and the ledger

    def _decided(self, drafts: list[Draft], fetchers: ThreadPoolExecutor) -> Iterator[Planned]:
        self._resolve(drafts, fetchers)
        self._lookup.keep_bought([draft for draft in drafts if draft.settled is None])
        for draft in drafts:
            if draft.job is not None:
                draft.fingerprint = draft.job.fingerprint
            self._check_duplicate(draft)
        found = self._lookup.of([draft for draft in drafts if draft.job is not None and draft.settled is None])
        for draft in drafts:
            yield self._decide(draft, found)

    def _check_duplicate(self, draft: Draft) -> None:
        """The first record of a (row key, shot) counts; an identical one is skipped, a different one is invalid."""
        nothing = draft.job is None and draft.reason is not Reason.CONDITION_FALSE
        if draft.row_key is None or nothing or not draft.claims_key:
            return
        product = draft.product
        first = self._first.of(
            (draft.row_key, draft.shot),
            (product.file, product.line, product.row_number),
            (draft.fingerprint, draft.job.n) if draft.job else ("", 0),
        )
        if first is None or (draft.settled is not None and draft.reason is not Reason.CONDITION_FALSE):
            return
        at, same = first
        if same:
            draft.refuse(
                Reason.DUPLICATE_ROW, "skipped", "duplicate_row", f"{where(draft)}: the same as {at}, which counts"
            )
        else:
            draft.refuse(
                Reason.DUPLICATE_KEY,
                "invalid",
                "duplicate_key",
                f"{where(draft)}: duplicate key {draft.row_key!r}: already used on {at} with different values",
            )

    def _decide(self, draft: Draft, found: LookedUp) -> Planned:
        job = draft.job
        if job is None or draft.settled is not None:
            return Planned(self._record(draft), None)
        selected = not self._only or as_key(job.row_key) in self._only
        if draft.job_key in found.resting:
            draft.reason = Reason.UNCHANGED
            return Planned(self._record(draft, selected, ZERO, rests=True), None, unchecked=draft.unchecked)
        view = found.views[draft.job_key]
        slots = self._slots(draft, job, view) if selected else ()
        if slots and not self._chooses(draft, job):
            selected, slots = False, ()
        draft.reason = why(job, view, found.known.get((job.row_key, job.shot), []), slots, draft.take)
        to: Route | None = None
        quoted: Quote | None = None
        unpriced = False
        if slots:
            choice = self._choices.of(job)
            if draft.unreachable:
                draft.refuse(
                    Reason.INVALID,
                    "invalid",
                    "reference_unreachable",
                    f"{where(draft)}: references: a reference cannot be read, and the images would have to be bought",
                )
            elif not choice.able:
                self._no_gateway(draft, job, choice.against)
            else:
                to, quoted = choice.route, choice.quote(len(slots))
                unpriced = to is None
        forecast = quoted.usd if quoted else (ZERO if not slots else None)
        record = self._record(draft, selected, forecast)
        if draft.settled is not None:
            return Planned(record, None, unchecked=draft.unchecked)
        return Planned(record, view, to, quoted, slots, unpriced, draft.unchecked)

    def _slots(self, draft: Draft, job: Job, view: JobView) -> tuple[int, ...]:
        """The slots this record would buy now."""
        wants = wanted(job.n, view.slots, view.past, "", self._options.retry, job.top_up, job.slots)
        return tuple(slot for want in wants for slot in want.slots) + draft.wants_beside

    def _chooses(self, draft: Draft, job: Job) -> bool:
        """Whether a record with something to buy is within the limit of products. Records that cannot be bought do not count,
        so that the next run with the same limit gets further.
        """
        if self._options.limit is None or job.row_key in self._chosen:
            return True
        choice = self._choices.of(job)
        if len(self._chosen) >= self._options.limit:
            return not choice.able  # invalid in any case
        if choice.route is not None and not draft.unreachable:
            self._chosen.add(job.row_key)
        return True

    def count(self) -> int:
        """Count the rows by reading them. Raises InputError if there are none, or the catalog cannot be read to its end."""
        count = sum(1 for _ in self._products())
        if not count:
            raise no_rows(self._table)
        return count

    def _no_gateway(self, draft: Draft, job: Job, against: Mapping[str, Sequence[Any]]) -> None:
        if not against:
            names = ", ".join(self._capabilities)
            draft.refuse(
                Reason.NO_GATEWAY,
                "invalid",
                "model",
                f"{where(draft)}: model: no configured gateway ({names}) sells {job.model}",
            )
            return
        # A gateway that the shot itself excludes is not the reason why it fails.
        named = {name: each for name, each in against.items() if all(found.limit != "gateways" for found in each)}
        failing = named or against
        first = min(failing.values(), key=len)[0]
        all_of_them = "; ".join(str(found) for each in failing.values() for found in each[:1])
        draft.refuse(Reason.NO_GATEWAY, "invalid", first.limit, f"{where(draft)}: {first.field}: {all_of_them}")

    def _record(
        self, draft: Draft, selected: bool = True, forecast: Decimal | None = None, rests: bool = False
    ) -> FrozenRecord:
        product = draft.product
        return FrozenRecord(
            row_number=product.row_number,
            line=product.line,
            row_key=draft.row_key,
            shot=draft.shot,
            values=product.values,
            job=draft.job,
            reason=draft.reason,
            settled=draft.settled,
            selected=selected,
            warnings=draft.warnings,
            error_code=draft.error_code,
            error_message=draft.error_message,
            forecast_usd=forecast,
            take=draft.take,
            beside=draft.beside,
            fingerprint=draft.fingerprint,
            rests=rests,
        )


def digest(text: str) -> str:
    """sha256 (hex) of a text; empty for an empty text."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
