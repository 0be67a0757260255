"""Amounts as shops write them: `7900.00 SEK`, `1.249,00`, `€ 49.00`, `19,90`, `1'249.50`, `12 345,67 zł`, `(3.00)`.

An ambiguous amount such as `1.249` is settled by the other cells of its column, or not at all.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .errors import BadValue

POINT, COMMA = ".", ","
# ISO 4217, and the spellings that price lists use instead.
_CODES_TEXT = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK "
    "HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON "
    "RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH "
    "UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL RMB KM TL RM"
)
_CODES = frozenset(_CODES_TEXT.split())
_WORDS_TEXT = (
    "euro euros dollar dollars pound pounds franken francs franc kronen kronor kroner yen yuan złoty zlotych złotych "
    "forint lei leu lev leva kuna dinar rubel ruble rubles rupee rupees peso pesos real reais lira won baht dong kr "
    "kr. fr fr. sfr sfr. zł zl kč kc ft lek din din. ден лв лв. грн грн. руб руб. р р. тг rs rs. rp rp. 円 元 圓 圆 원 us a au c "
    "ca can nz s sg hk nt mx r ar cl u usd eur gbp chf pln sek nok dkk czk huf cad aud jpy inr brl"
)
_WORDS = frozenset(_WORDS_TEXT.split())
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u2002\u2003\u2006\u200a\t"), " ")
_SIGNS = {
    **dict.fromkeys(map(ord, "\u2019\u2018\u02bc\u00b4`\u066c"), "'"),
    **dict.fromkeys(map(ord, "\u2212\u2013\u2014\u2012\u2011\ufe63\uff0d"), "-"),
    ord("\u066b"): ".",  # Arabic decimal sign; the thousands sign beside it is above
}
_NUMERAL = re.compile(
    r"(?P<before>[^0-9]*?)(?P<numeral>(?:(?<![^\W\d_])[.,])?[0-9](?:[0-9.,' ]*[0-9])?)(?P<after>[^0-9]*)"
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
_GROUPS = {sign: re.compile(rf"[0-9]{{1,3}}(?:{re.escape(sign)}[0-9]{{3}})+") for sign in ".,' "}
_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_NO_CENTS = re.compile(r"([.,:/]) ?-+")  # `49,-`, `49.-`, `49:-` and `49/-`
_PLAIN = re.compile(r"[0-9]+")
# A longer cell is text, not an amount.
_LONGEST = 60


class Numeral(str):
    """The text of a cell that was a number in its file: we wrote it, so its point is the decimal sign."""

    __slots__ = ()


class Number(Decimal):
    """An exact number in templates: comparing it with 19.9 compares it with the literal, not with the nearest float."""

    __slots__ = ()

    def __str__(self) -> str:
        return Decimal.__format__(self, "f")

    __repr__ = __str__

    def __format__(self, spec: str, context: Any = None) -> str:
        return Decimal.__format__(self, spec) if spec else str(self)

    def __hash__(self) -> int:
        return Decimal.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return Decimal.__eq__(self, exactly(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return Decimal.__lt__(self, exactly(other))

    def __le__(self, other: Any) -> bool:
        return Decimal.__le__(self, exactly(other))

    def __gt__(self, other: Any) -> bool:
        return Decimal.__gt__(self, exactly(other))

    def __ge__(self, other: Any) -> bool:
        return Decimal.__ge__(self, exactly(other))


def exactly(value: Any) -> Any:
    """A float as the decimal number it is written as; anything else unchanged."""
    return Decimal(repr(value)) if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Amount:
    """A parsed amount. Two readings: its only sign may separate thousands or decimals."""

    numeral: str
    readings: Mapping[str | None, Decimal]  # by assumed decimal sign; None: needs none

    @property
    def mark(self) -> str | None:
        """The decimal sign that this text proves."""
        return next(iter(self.readings)) if len(self.readings) == 1 else None


def read_amount(text: str) -> Amount | None:
    """An amount with its currency, sign and thousands; None for any other text."""
    tidy = _tidy(text)
    if len(tidy) > _LONGEST:
        return None
    if _SCIENTIFIC.fullmatch(tidy):
        return Amount(tidy, {POINT: Decimal(tidy)})
    negative = tidy.startswith("(") and tidy.endswith(")")
    match = _NUMERAL.fullmatch(tidy[1:-1] if negative else tidy)
    if match is None:
        return None
    before, numeral, after = match["before"], match["numeral"], match["after"]
    no_cents = _NO_CENTS.match(after)
    after = after[no_cents.end() :] if no_cents else after
    minus = before.count("-") + after.count("-")
    if minus > (0 if negative else 1) or not _is_currency(before.replace("-", " ").replace("+", " ", 1)):
        return None
    if not _is_currency(after.replace("-", " ")) or (before.strip("-+ ") and after.strip("- ") and "-" in after):
        return None
    readings = _readings(numeral)
    if no_cents and no_cents[1] in (POINT, COMMA) and len(readings) > 1:
        readings = {mark: value for mark, value in readings.items() if mark == no_cents[1]}
    sign = -1 if negative or minus else 1
    return Amount(numeral, {mark: value * sign for mark, value in readings.items()}) if readings else None


def _tidy(text: str) -> str:
    """Normalizes spaces, apostrophes, minus signs and digits; removes invisible marks."""
    normal = unicodedata.normalize("NFKC", text.translate(_SPACES).translate(_SIGNS)).translate(_SIGNS)
    seen = "".join(each for each in normal if unicodedata.category(each) != "Cf")
    if not seen.isascii():
        seen = "".join(str(unicodedata.decimal(each, each)) for each in seen)
    return " ".join(seen.split())


def _is_currency(text: str) -> bool:
    """Whether this consists only of currency words and signs: `SEK`, `€`, `US$`, `zł`, `kr.`."""
    for word in text.split():
        letters = "".join(each for each in word if unicodedata.category(each) != "Sc")
        if letters and letters not in _CODES and letters.lower() not in _WORDS:
            return False
    return True


def _readings(numeral: str) -> dict[str | None, Decimal]:
    """Every value that these digits and signs can mean, by decimal sign; empty: none."""
    found: dict[str | None, Decimal] = {}
    signs = set(numeral) & set(".,")
    for mark in (POINT, COMMA):
        whole, cut, places = numeral.rpartition(mark) if mark in signs else (numeral, "", "")
        if (cut and not _PLAIN.fullmatch(places)) or mark in whole:
            continue
        digits = _ungrouped(whole, allowed=".,' ".replace(mark, ""))
        if digits is None and not (cut and not whole):
            continue
        # `1.249` may have a thousands separator, `0.249` never.
        if not cut and signs and whole.startswith("0"):
            continue
        found[mark] = Decimal(f"{digits or 0}.{places}" if cut else digits or "0")
    return found if signs or not found else {None: found[POINT]}


def _ungrouped(whole: str, allowed: str) -> str | None:
    """The digits of a whole number with one thousands separator; None for any other grouping."""
    if _PLAIN.fullmatch(whole):
        return whole
    for sign in allowed:
        if _GROUPS[sign].fullmatch(whole) or (sign == "," and _INDIAN.fullmatch(whole)):
            return whole.replace(sign, "")
    return None


def order_misleads(left: Any, right: Any, compare: Callable[[Any, Any], bool]) -> bool:
    """Whether comparing these texts (`'9' < '10'`) gives another result than comparing their amounts."""
    if isinstance(left, str) and isinstance(right, str):
        one, two = read_amount(left), read_amount(right)
        if one is None or two is None:
            return False
        decided = compare(str(left), str(right))
        return any(compare(a, b) != decided for a in one.readings.values() for b in two.readings.values())
    return False


def text_is_number(left: Any, right: Any) -> bool:
    """Whether one is the text of the other's amount: they never compare equal, but were meant to."""
    text, value = (left, right) if isinstance(left, str) else (right, left)
    if not isinstance(text, str) or isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    amount = read_amount(text)
    return amount is not None and any(exactly(value) == each for each in amount.readings.values())


class DecimalMarks:
    """The decimal sign of each column, found by one scan of all rows on first use.

    The result is the same for every row in any rendering order. Keeps one or two signs per column.
    """

    def __init__(
        self,
        rows: Callable[[], Iterable[Mapping[str, Any]]],
        known: Mapping[str, str],
        meant: Callable[[str], str | None],
    ) -> None:
        self._rows = rows
        self._meant = meant  # a template's name for a column -> the column's own
        self._found: dict[str, set[str]] = {name: {mark} for name, mark in known.items()}

    def of(self, row: Mapping[str, Any], column: str | None, numeral: str) -> str | None:
        """The decimal sign of the column that holds this numeral.

        `column`: as the template calls it. Where it names none, all columns that hold the numeral in this row must agree.
        """
        name = column if column is None or column in row else self._meant(column)
        cells = dict(row).items() if name is None else [(name, row[name])]
        holding = [
            (path, text) for name, value in cells for path, text in _leaves(name, value) if _holds(text, numeral)
        ]
        paths = {path for path, text in holding if not isinstance(text, Numeral)}
        unseen = paths - self._found.keys()
        if unseen:
            self._look(unseen)
        marks = [self._found[path] for path in paths] + [{POINT} for _, text in holding if isinstance(text, Numeral)]
        # A column with both signs, or neither, is ambiguous.
        return (
            next(iter(marks[0])) if marks and len(marks[0]) == 1 and all(each == marks[0] for each in marks) else None
        )

    def _look(self, paths: Collection[str]) -> None:
        self._found.update({path: set() for path in paths})
        names = {path.split("\0", 1)[0] for path in paths}
        for row in self._rows():
            for name in names:
                for path, text in _leaves(name, row.get(name)):
                    # A numeric cell in the file is no evidence for the text cells beside it.
                    if path in paths and not isinstance(text, Numeral) and (POINT in text or COMMA in text):
                        amount = read_amount(text)
                        if amount is not None and amount.mark is not None:
                            self._found[path].add(amount.mark)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts of a cell, or of a value that a preset combined from several, each with its name."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _leaves(f"{name}\0{inner}", each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(name, each)


def _holds(text: str, numeral: str) -> bool:
    amount = read_amount(text)
    return amount is not None and amount.numeral == numeral


def number(value: Any, decimal: str | None, settle: Callable[[str], str | None]) -> Number:
    """Parse an amount as shops write it. Raises BadValue naming the possible readings.

    `settle`: returns the decimal sign of an ambiguous numeral; None when unknown.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise BadValue(f"{type(value).__name__} is not an amount")
    if not isinstance(value, str):
        return Number(exactly(value))
    if decimal not in (None, POINT, COMMA):
        raise BadValue(f"number(decimal=...) takes '.' or ',', not {decimal!r}")
    if isinstance(value, Numeral):
        decimal = POINT
    amount = read_amount(value)
    if amount is None:
        what = "an empty cell" if not value.strip() else repr(value[:60])
        raise BadValue(f"{what} is not an amount" + ("; put `default(0)` before `number`" if not value.strip() else ""))
    mark = decimal or (settle(amount.numeral) if len(amount.readings) > 1 else None)
    if mark in amount.readings:
        return Number(amount.readings[mark])
    if len(amount.readings) == 1:
        ((only, read),) = amount.readings.items()
        if decimal is None or only is None:
            return Number(read)
        raise BadValue(f"{value[:60]!r} is not an amount whose decimal sign is {decimal!r}")
    point, comma = (f"{Number(amount.readings[each])}" for each in (POINT, COMMA))
    raise BadValue(
        f"{value[:60]!r} can be {point} or {comma}, and no other cell of its column says which;"
        " write number(decimal='.') or number(decimal=',')"
    )
