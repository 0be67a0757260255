"""Why records are invalid, in a few lines: a reason shared by many rows is shown once, with their number."""

import re
from dataclasses import dataclass

from ..runs.frozen import FrozenRecord

# Max distinct reasons kept, and shown.
_KEPT, SHOWN = 200, 5
_WHERE = re.compile(r"^.*?, shot [a-z0-9-]{1,40}: ", re.DOTALL)
_LINE = re.compile(r"\b(line|row) \d+|\b[A-Z]{1,3}\d+\b")


@dataclass
class _Reason:
    message: str  # of the first record
    last: str  # place of the last one
    count: int = 1


class Refusals:
    """Collects refusals from a plan's records; memory does not grow with them."""

    def __init__(self) -> None:
        self._reasons: dict[str, _Reason] = {}
        self._others = 0

    def see(self, record: FrozenRecord) -> None:
        """The next record."""
        if record.settled != "invalid":
            return
        message = record.error_message or ""
        what = _LINE.sub("", _WHERE.sub("", message).replace(repr(record.row_key), ""))
        at = f"line {record.line}" if record.line else f"row {record.row_number}"
        known = self._reasons.get(what)
        if known is not None:
            known.count += 1
            known.last = at
        elif len(self._reasons) < _KEPT:
            self._reasons[what] = _Reason(message, at)
        else:
            self._others += 1

    def lines(self, most: int = SHOWN) -> list[str]:
        """The first reasons, one line each, and the number of records with others."""
        shown = list(self._reasons.values())[:most]
        lines = [
            f"invalid: {each.message}"
            + (f" (and {each.count - 1:,} more like it, up to {each.last})" if each.count > 1 else "")
            for each in shown
        ]
        rest = self._others + sum(each.count for each in list(self._reasons.values())[most:])
        return [*lines, *([f"invalid: {rest:,} more for other reasons"] if rest else [])]
