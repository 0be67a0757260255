"""A run's artifacts in the Prefect UI, as pure functions: figures in, Markdown out."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..core.advice import advice
from ..core.money import ZERO, dollars, plain
from ..core.states import COMPLETE, RecordStatus
from ..engine.balances import Funds
from ..ledger import values
from ..planning.forecast import Forecast
from ..runs.contact_sheet import Tile
from ..runs.summary import Summary
from .charts import data_uri, spend_chart

_UNKNOWN_SHOWN = 200
_WHY = 120  # characters of a reason in a line
_TILES_A_ROW = 5  # more are cut off at the edge of the first UI
_MARKS = frozenset("[]()*_`~\\!#<>&|")
WHAT_TO_DO = (
    "Look the time up in the gateway's own console, then say what became of it with `seedream resolve`;"
    " a callback that names the task settles it by itself."
)


@dataclass(frozen=True, slots=True)
class Unknown:
    """One unknown payment."""

    attempt_id: str
    run_id: str  # that reserved it
    row_key: str
    shot: str
    gateway: str
    account: str
    sent_at: datetime
    at_risk_usd: Decimal

    def payload(self) -> dict[str, Any]:
        """Of its event."""
        return {
            "attempt_id": self.attempt_id,
            "run_id": self.run_id,
            "row_key": self.row_key,
            "shot": self.shot,
            "gateway": self.gateway,
            "account": self.account,
            "sent_at": self.sent_at.isoformat(),
            "at_risk_usd": plain(self.at_risk_usd),
            "what_to_do": WHAT_TO_DO,
        }


class _Ours(str):
    """Our own Markdown in a cell: not escaped."""


def _cell(value: Any) -> str:
    if isinstance(value, _Ours):
        return value
    return "" if value is None else _words(str(value))


def _words(text: str) -> str:
    """A catalog's text escaped for Markdown: it cannot become a link, image or emphasis."""
    # The first UI shows entities literally, so marks are escaped by backslashes, which both UIs understand.
    return "".join(f"\\{each}" if each in _MARKS else each for each in text.replace("\n", " "))


def _folded(text: str, width: int) -> str:
    """Escaped text in lines of about `width` characters: the first UI never wraps a cell."""
    return "<br>".join(_words(line) for line in textwrap.wrap(text, width))


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table; cells are escaped, so a catalog's text cannot become markup."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def forecast_markdown(figures: Forecast, simulated: bool, funds: Mapping[str, Funds], notes: Sequence[str] = ()) -> str:
    """What the run will buy."""
    kind = "simulated, nothing is charged" if simulated else "real money"
    parts = [
        f"# Forecast: {dollars(figures.usd)}",
        f"{figures.rows} rows, {figures.jobs} jobs ({kind}). New purchases only; up to {dollars(figures.reserved_usd)} is"
        " reserved while they run.",
    ]
    if figures.shrunk is not None:
        parts.append(f"**{_words(str(figures.shrunk))}**")
    parts += [f"**{_words(each)}**" for each in notes]
    if figures.by_gateway:
        rows = [
            [
                name,
                each.jobs,
                each.images,
                dollars(each.usd),
                (funds[name].left if name in funds else None) or "not stated",
            ]
            for name, each in sorted(figures.by_gateway.items())
        ]
        parts.append(table(["gateway", "jobs", "images", "forecast", "balance"], rows))
        parts += [f"**{each.short}**" for each in funds.values() if each.short]
    parts.append(table(["record", "count"], [[name, count] for name, count in sorted(figures.by_status.items())]))
    if figures.unpriced_jobs:
        parts.append(f"{figures.unpriced_jobs} jobs have no price and are deferred; give one with `prices`.")
    return "\n\n".join(parts)


def unknown_markdown(found: Sequence[Unknown], ledger: str) -> str:
    """Every unknown payment: where, when, how much, and what to do."""
    shown = found[:_UNKNOWN_SHOWN]
    rows = [
        [
            each.attempt_id,
            each.row_key,
            each.shot,
            each.gateway,
            f"{each.sent_at:%Y-%m-%d %H:%M:%S}",
            dollars(each.at_risk_usd),
        ]
        for each in shown
    ]
    total = sum((each.at_risk_usd for each in found), ZERO)
    more = f" (the first {len(shown)} are shown)" if len(shown) < len(found) else ""
    parts = [
        f"# {len(found)} {'payment' if len(found) == 1 else 'payments'} of unknown fate, {dollars(total)} at risk{more}",
        "The answer to these requests got lost: they may have been accepted and billed. They are never sent again by themselves."
        f" {WHAT_TO_DO}",
        table(["attempt", "key", "shot", "gateway", "sent (UTC)", "at risk"], rows),
        f"```\nseedream resolve ATTEMPT --as paid --task-id TASK --ledger {ledger}\n"
        f"seedream resolve ATTEMPT --as not-sent --ledger {ledger}\n```",
    ]
    return "\n\n".join(parts)


def result_markdown(summary: Summary, manifest_uri: str) -> str:
    """The run's result: totals by status and gateway, the failures, where the manifest is."""
    word = "complete" if summary.complete else "incomplete"
    parts = [
        f"# {word.capitalize()}: {in_a_line(summary)}",
        f"Manifest: `{manifest_uri}`" + ("" if not summary.simulated else " (simulated, nothing was charged)"),
        table(
            ["", "USD"],
            [
                ["billed in this run", dollars(summary.billed_usd)],
                *([["of it rework after a review", dollars(summary.rework_usd)]] if summary.rework_usd else []),
                ["quoted for it", dollars(summary.quoted_usd)],
                ["cost of all images shown", dollars(summary.cost_usd)],
                ["at risk", summary.at_risk_in_words()],
                ["deferred", dollars(summary.deferred_usd)],
            ],
        ),
        table(["status", "records"], [[name, count] for name, count in sorted(summary.by_status.items())]),
    ]
    if summary.by_gateway:
        rows = [
            [
                name,
                each.attempts,
                each.images,
                dollars(each.quoted_usd),
                dollars(each.billed_usd),
                dollars(each.billed_usd - each.quoted_usd),
                dollars(each.at_risk_usd),
            ]
            for name, each in sorted(summary.by_gateway.items())
        ]
        parts.append("## Spend by gateway")
        parts.append(f"![quoted and billed by gateway]({data_uri(spend_chart(summary.by_gateway))})")
        parts.append(table(["gateway", "attempts", "images", "quoted", "billed", "difference", "at risk"], rows))
    if summary.failures:
        parts.append(f"**{failures_in_a_line(summary)}: see the artifact `seedream-failures`.**")
    return "\n\n".join(parts)


def contact_sheet_markdown(tiles: Sequence[Tile], summary: Summary, page_uri: str) -> str:
    """The first images as a table of thumbnails, those that need attention first, and where the whole page is."""
    words = "simulated, nothing was charged" if summary.simulated else f"they cost {dollars(summary.cost_usd)}"
    lines = [
        f"# {_images(summary.images)} ({words})",
        f"The whole sheet, with search and review: `{page_uri}`"
        + (f". Here are the first {len(tiles)}." if len(tiles) < summary.records else ""),
        "",
        tiles_table(tiles),
    ]
    return "\n".join(lines)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def tiles_table(tiles: Sequence[Tile]) -> str:
    """Thumbnails side by side."""
    lines = ["|" + "   |" * _TILES_A_ROW, "|" + "---|" * _TILES_A_ROW]
    cells = [_tile(tile) for tile in tiles]
    for start in range(0, len(cells), _TILES_A_ROW):
        lines.append("| " + " | ".join(cells[start : start + _TILES_A_ROW]) + " |")
    return "\n".join(lines)


def _tile(tile: Tile) -> str:
    shown = f'<img src="{tile.image}" width="112">' if tile.image else f"**{_cell(tile.status.replace('_', ' '))}**"
    said = [_folded(each, 18) for each in (tile.title, f"{tile.row_key} {tile.shot}") if each]
    if tile.why:
        said.append(_folded(f"{tile.status.replace('_', ' ')}: {tile.why[:120]}", 18))
    return "<br>".join([shown, *said])


def failures_in_a_line(summary: Summary) -> str:
    """How many records are not archived, and how many of them are listed."""
    count = sum(many for status, many in summary.by_status.items() if RecordStatus(status) not in COMPLETE)
    shown = f", the first {len(summary.failures)}" if len(summary.failures) < count else ""
    return f"{count} {'record is' if count == 1 else 'records are'} not archived{shown}"


def failures_markdown(summary: Summary) -> str:
    """The first records that are not archived: which, why, and what to do about each."""
    rows = [
        [
            each["row_number"],
            _Ours(_folded(f"{each['row_key']} {each['shot']}", 24)),
            _Ours("<br>".join(_words(str(each[name])) for name in ("status", "reason", "gateway") if each[name])),
            _Ours(
                "<br>".join(textwrap.wrap(advice(RecordStatus(each["status"]), each["reason"], each["error_code"]), 36))
            ),
            _Ours(_folded(each["error_message"] or each["error_code"] or "", 40)),
        ]
        for each in summary.failures
    ]
    return f"# {failures_in_a_line(summary)}\n\n" + table(["row", "key, shot", "status", "what to do", "why"], rows)


def as_link(uri: str) -> str:
    """An address for a link: a local path as file://."""
    return uri if "://" in uri else Path(uri).absolute().as_uri()


def in_a_line(summary: Summary) -> str:
    """The run in one line, for states and terminals: what is missing and why, what is there, what this run was billed for."""
    counts = sorted(summary.by_status.items(), key=lambda each: (RecordStatus(each[0]) in COMPLETE, -each[1], each[0]))
    text = ", ".join(f"{count} {status.replace('_', ' ')}{_why(summary, status)}" for status, count in counts)
    # Totals by gateway exist only for a whole run; a part of a run knows only its amounts.
    bought = sum(each.images for each in summary.by_gateway.values())
    images = f"{bought} {'image' if bought == 1 else 'images'} bought, " if summary.by_gateway else ""
    text += f"; {images}{dollars(summary.billed_usd)} billed"
    if summary.at_risk_usd:
        amount, _, why = summary.at_risk_in_words().partition(" ")
        text += f", {amount.rstrip(':')} at risk" + (f" ({why})" if why else "")
    return text + (" (simulated)" if summary.simulated else "")


def _why(summary: Summary, status: str) -> str:
    """The most common reason for a status of missing records; empty for other statuses."""
    missing = [each for each in summary.failures if each["status"] == status]
    kinds = Counter(each["error_code"] or each["reason"] for each in missing)
    if not kinds:
        return ""
    kind = kinds.most_common(1)[0][0]
    first = next(each for each in missing if kind == (each["error_code"] or each["reason"]))
    text = textwrap.shorten(first["error_message"] or str(kind or "").replace("_", " "), _WHY, placeholder=" ...")
    return f" ({'mostly ' if len(kinds) > 1 else ''}{text})" if text else ""


def stopped_markdown(
    live: Sequence[tuple[values.Attempt, str, str]], reserved_usd: Decimal, at_risk_usd: Decimal
) -> str:
    """What a stopped run leaves in flight, in money: attempts with row key and shot."""
    rows = [
        [each.attempt_id, key, shot, each.gateway, each.task_id, each.state, dollars(each.quoted_usd)]
        for each, key, shot in live[:_UNKNOWN_SHOWN]
    ]
    count = f"{len(live)} {'job' if len(live) == 1 else 'jobs'}"
    parts = [
        f"# Stopped with {count} in flight, {dollars(reserved_usd)} reserved, {dollars(at_risk_usd)} at risk",
        "What is in flight stands in the ledger and is paid for once: the next run or `seedream collect` follows it and archives"
        " its images.",
    ]
    if rows:
        more = f"The first {len(rows)} of {len(live)}." if len(rows) < len(live) else ""
        parts += [more] if more else []
        parts.append(table(["attempt", "key", "shot", "gateway", "task", "state", "quoted"], rows))
    return "\n\n".join(parts)


def record_in_a_line(record: dict[str, Any]) -> str:
    """One record, for a task run's state message."""
    count = record["image_count"]
    text = f"{count} {'image' if count == 1 else 'images'}, {dollars(record['billed_usd'])}"
    if record["at_risk_usd"]:
        text += f", {dollars(record['at_risk_usd'])} at risk"
    why = record["error_message"] or record["error_code"]
    todo = advice(RecordStatus(record["status"]), record["reason"], record["error_code"])
    return f"{text}: {why}. {todo}".rstrip() if why else text
