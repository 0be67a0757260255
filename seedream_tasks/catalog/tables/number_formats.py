"""A cell's number format: a date or time, or digits padded with zeros.

Other formats (`0.00`, `#,##0 "€"`) decide how a number looks, not what it is: such a number stays a number.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_DATES = {*range(14, 18), *range(27, 32), 36, *range(50, 55), 57, 58}
_TIMES = {18, 19, 20, 21, 32, 33, 34, 35, 45, 47, 55, 56}
_BUILT_IN = {**dict.fromkeys(_DATES, "date"), **dict.fromkeys(_TIMES, "time"), 22: "datetime", 46: "duration"}
# General, and the built-in formats with an exponent: a long number looks like 1.2E+12 in them.
_SHORTENED = {0, 11, 48}
# A format's pieces: quoted text, an escaped character, the width of one, one to fill with, a colour, place or condition.
_PIECE = re.compile(r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_.|\*.|\[(?P<bracket>[^\]]*)\]|(?P<other>.)', re.DOTALL)
# Characters that a format shows literally without quotes.
_LITERAL = "-+()$:!^&'~{}<>= "
_COLOUR = re.compile(r"[a-z]+|color ?\d+", re.IGNORECASE)
_CURRENCY = re.compile(r"\$([^-]*)")
Section = Sequence[tuple[str, bool]]  # literal text, or (a place for a digit, True)


@dataclass(frozen=True)
class Zeros:
    """A format of zeros, such as `00000` or `000-00-0000`: what it shows of a whole number is one text everywhere."""

    sections: tuple[Section | None, ...]  # for numbers above, below and at zero; None: one that is not understood

    def text(self, number: Decimal) -> str | None:
        """The displayed text; None when unknown."""
        whole = number.to_integral_value(ROUND_HALF_UP)
        which = 2 if not whole else 1 if whole < 0 else 0
        section = self.sections[which] if which < len(self.sections) else self.sections[0]
        if section is None:
            return None
        shown = _filled(section, f"{abs(whole):f}")
        return f"-{shown}" if which == 1 and len(self.sections) < 2 else shown


Form = str | Zeros | None  # "date", "datetime", "time", "duration"; zeros; or a number that stays one


def form_of(number: int, codes: dict[int, str]) -> Form:
    """The form of a number format, by its id and the codes that a workbook defines."""
    if number not in codes:
        return _BUILT_IN.get(number)
    return _moment_of(codes[number]) or zeros_of(codes[number])


def is_shortened(number: int, codes: dict[int, str]) -> bool:
    """Whether a long number looks like 1.2E+12 in this format."""
    if number not in codes:
        return number in _SHORTENED
    return codes[number].lower() == "general" or bool(re.search(r"[0#]E[+-]", codes[number]))


def zeros_of(code: str) -> Zeros | None:
    """A format of at least two zeros and literal text only; None for any other."""
    sections = [_section(part) for part in _sections(code)]
    first = sections[0]
    if first is None or sum(is_place and piece == "0" for piece, is_place in first) < 2:
        return None
    return Zeros(tuple(sections[:3]))


def _moment_of(code: str) -> str | None:
    """What a number format shows: `yyyy-mm-dd` a date, `[h]:mm` a duration, `0.00` neither."""
    bare = re.sub(r'"[^"]*"|\\.|_.|\*.', "", code.split(";", 1)[0].lower())
    if re.search(r"\[[hms]+\]", bare):
        return "duration"
    bare = re.sub(r"\[[^\]]*\]|general|am/pm|a/p", "", bare)
    is_time = "h" in bare or "s" in bare
    if "d" in bare or "y" in bare or ("m" in bare and not is_time):
        return "datetime" if is_time else "date"
    return "time" if is_time else None


def _sections(code: str) -> Iterator[str]:
    part: list[str] = []
    for found in _PIECE.finditer(code):
        if found["other"] == ";":
            yield "".join(part)
            part = []
        else:
            part.append(found.group())
    yield "".join(part)


def _section(code: str) -> Section | None:
    pieces: list[tuple[str, bool]] = []
    for found in _PIECE.finditer(code):
        other, bracket = found["other"], found["bracket"]
        if other in ("0", "#"):
            pieces.append((other, True))
        elif bracket is not None:
            currency = _CURRENCY.match(bracket)
            if currency is None and not _COLOUR.fullmatch(bracket):
                return None  # a condition
            pieces.append((currency[1] if currency else "", False))
        elif other is not None and other not in _LITERAL:
            return None
        else:
            pieces.append((other or found["quoted"] or found["escaped"] or "", False))
    return pieces


def _filled(section: Section, digits: str) -> str:
    """Fill the places with digits from the right; excess digits go to the first place."""
    shown: list[str] = []
    places = sum(is_place for _, is_place in section)
    rest = digits.lstrip("0")
    for piece, is_place in reversed(section):
        if not is_place:
            shown.append(piece)
            continue
        places -= 1
        taken = rest if places == 0 else rest[-1:]
        rest = rest[: len(rest) - len(taken)]
        shown.append(taken or ("0" if piece == "0" else ""))
    return "".join(reversed(shown)).strip()
