"""Values inside templates: what may enter, how numbers are read and compared, and what is refused."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, MappingView
from decimal import Decimal
from functools import wraps
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from jinja2 import StrictUndefined, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.utils import _PassArg

from .amounts import DecimalMarks, Number, number, order_misleads, text_is_number
from .errors import BadValue

# Context key of the catalog's `DecimalMarks`: not a name that a template can spell.
MARKS = "(decimal marks)"


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": eq, "ne": ne, "lt": lt, "lteq": le, "gt": gt, "gteq": ge,
    "in": lambda some, all_: some in all_, "notin": lambda some, all_: some not in all_,
}  # fmt: skip


_ADDRESS = re.compile(r"<[^<>]{1,200} at 0x[0-9a-f]{4,16}>", re.IGNORECASE)


def checked(value: Any) -> Any:
    """The value, if its text is the same in every run. Raises TypeError, or the error of an undefined name."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for pair in value.items():
            checked(pair)
    elif isinstance(value, list | tuple):
        for each in value:
            checked(each)
    elif isinstance(value, StrictUndefined):
        str(value)  # raises
    elif not isinstance(value, int | float | Decimal | None):
        raise TypeError(
            f"a {type(value).__name__} is not text (a method without its brackets, or a `map` without `| list`?)"
        )
    return value


def without_address(text: str) -> str:
    """A rendered text. Raises BadValue where it holds an object's address in memory, which differs in each run."""
    found = _ADDRESS.search(text) if "0x" in text or "0X" in text else None
    if found is not None:
        raise BadValue(f"{found[0][:80]!r} is an object's address in memory, which differs in each run")
    return text


def let_in(value: Any, sequence: bool = False) -> Any:
    """A checked argument. An undefined one is left to raise its own error; an iterator becomes its items, where allowed."""
    if isinstance(value, str | StrictUndefined):
        return value
    once: Any = (
        value if isinstance(value, Iterator | range | MappingView) and not isinstance(value, LoopContext) else None
    )
    if sequence and once is not None:
        return checked(list(once))
    return checked(value)


def items(value: Any) -> Any:
    """The items of a JSON list in a text, as lists from Parquet and JSON are read; anything else unchanged."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, list) else value
    return value


def guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test whose arguments are checked to have a stable text."""
    skipped = 0 if _PassArg.from_obj(function) is None else 1  # the context or environment, which comes first
    sequence = name in OF_SEQUENCES

    @wraps(function)
    def guard(*args: Any, **kwargs: Any) -> Any:
        value = items(args[skipped]) if sequence else args[skipped]
        if name not in OF_ANYTHING:
            value = let_in(value, sequence)
        # `in` looks through its argument, and `reject('in', ...)` hands its own on.
        rest = [let_in(each, sequence or name == "in") for each in args[skipped + 1 :]]
        named = {key: let_in(each) for key, each in kwargs.items()}
        return exact(function(*args[:skipped], value, *rest, **named))

    return guard


def exact(value: Any) -> Any:
    """Keeps decimal numbers exact in comparisons after arithmetic."""
    return Number(value) if type(value) is Decimal else value


def as_integer(value: Any, default: Any = None, base: int = 10) -> Any:
    """`int` that raises instead of returning 0 for unreadable values."""
    try:
        text = number_text(value)
        try:
            return int(text, base) if isinstance(text, str) else int(text)
        except ValueError:
            return int(_finite(float(text)))
    except (TypeError, ValueError, OverflowError):
        return _unread(value, default, "int")


def as_float(value: Any, default: Any = None) -> Any:
    """`float` that raises instead of returning 0.0 for unreadable values."""
    try:
        return _finite(float(number_text(value)))
    except (TypeError, ValueError, OverflowError):
        return _unread(value, default, "float")


def number_text(value: Any) -> Any:
    if isinstance(value, str) and "_" in value:
        raise ValueError(value)
    return value


def _finite(value: float) -> float:
    if value - value:  # infinite, or not a number
        raise ValueError(value)
    return value


def _unread(value: Any, default: Any, name: str) -> Any:
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    if default is not None:
        return default
    what = "an empty cell" if isinstance(value, str) and not value.strip() else repr(value)[:62]
    raise BadValue(
        f"`{name}` cannot read {what}: `number` reads amounts as shops write them, `default(0)` replaces an empty cell"
    )


@pass_context
def amount(context: Context, value: Any, decimal: str | None = None, column: str | None = None) -> Number:
    """`number`: an amount as shops write it, exactly. `column` is filled in where the template names one."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    marks, row = context.parent.get(MARKS), context.parent.get("row", {})

    def settle(numeral: str) -> str | None:
        return marks.of(row, column, numeral) if isinstance(marks, DecimalMarks) else None

    return number(value, decimal, settle)


def compared(left: Any, right: Any, how: str) -> Any:
    """`left == right` and its like. Raises BadValue where texts of numbers were meant to be compared as numbers."""
    compare = _COMPARISONS[how]
    ordered = how in ("lt", "lteq", "gt", "gteq")
    if ordered and order_misleads(left, right, compare):
        raise BadValue(
            f"{left!r:.62} and {right!r:.62} are compared as texts, which gives another result than comparing numbers:"
            " put `number` behind each"
        )
    others = right if how in ("in", "notin") and isinstance(right, list | tuple) else [right]
    if not ordered and any(text_is_number(left, each) for each in others):
        raise BadValue(
            f"{left!r:.62} is compared with {right!r:.62}, but a text is never equal to a number: put `number` behind it"
        )
    return compare(left, right)


def same_as_other(value: Any, other: Any) -> bool:
    """`sameas`: same type and equal; object identity is ignored."""
    return type(value) is type(other) and bool(value == other)


# Filters that consume a sequence may be given an iterator: `x | map('upper') | join`.
_OF_SEQUENCES_TEXT = (
    "batch count first groupby join last length list map max min reject rejectattr reverse select selectattr slice "
    "sort sum unique items dictsort"
)


OF_SEQUENCES = frozenset(_OF_SEQUENCES_TEXT.split())


# These only inspect or pass on a value, and do not turn it into text.
OF_ANYTHING = frozenset({"default", "d", "attr"})


_OF_TYPES_TEXT = (
    "defined undefined callable iterable mapping sequence string number integer float boolean none true false filter "
    "test escaped"
)


OF_TYPES = frozenset(_OF_TYPES_TEXT.split())
