"""How long an answer asks the client to wait."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A wait of a day or more is not meant seriously.
_LONGEST_S = 86_400.0


def retry_after(value: str, date: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait: a number, or an HTTP date, which is read against the answer's own Date
    (`date`, empty where it has none; `now` counts then), since the two clocks may differ. None when it has no usable value.
    """
    try:
        seconds = float(value)
    except ValueError:
        at = _http_date(value)
        if at is None:
            return None
        # The time passed while the answer was on its way: nothing left to wait for.
        seconds = max(0.0, (at - (_http_date(date) or now)).total_seconds())
    return seconds if 0 <= seconds < _LONGEST_S else None


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text.strip())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
