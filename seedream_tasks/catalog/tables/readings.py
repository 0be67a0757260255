"""What bytes that are not UTF-8 may say: how they read in each encoding that tables come in, and which readings are text.

A plain text file does not name its encoding, and in most encodings every byte is a letter. The right reading is recognized by
its letter pairs: `erős` is Hungarian, `erõs` is nothing. Each word is as plausible as in the
language it fits best; a reading is ruled out by another one that is far better in the words in which the two differ.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_WEST = ("da", "de", "es", "fi", "fr", "it", "nl", "no", "pt", "sv", "ca")
_CENTRAL = ("cs", "de", "hr", "hu", "pl", "ro", "sk", "sl", "sq")
# Python's name, as people say it, and the languages written in it; those first of which there are most tables.
_BY_LETTERS = (
    ("cp1252", "Windows-1252", _WEST),
    ("cp1250", "Windows-1250", _CENTRAL),
    ("cp1254", "Windows-1254", ("tr", *_WEST)),
    ("cp1251", "Windows-1251", ("ru", "uk", "bg", "mk")),
    ("cp1253", "Windows-1253", ("el",)),
    ("cp1257", "Windows-1257", ("et", "lv", "lt", "pl", "de", "fi")),
    ("iso8859-15", "ISO 8859-15", (*_WEST, "et")),
    ("iso8859-2", "ISO 8859-2", _CENTRAL),
    ("mac-roman", "Mac Roman", _WEST),
    ("cp850", "DOS, Western (cp850)", _WEST),
    ("cp852", "DOS, Central European (cp852)", _CENTRAL),
)
_BY_SIGNS = (
    ("cp932", "Shift_JIS"),
    ("gb18030", "GB18030"),
    ("cp950", "Big5"),
    ("cp949", "EUC-KR"),
    ("euc_jp", "EUC-JP"),
)
_WESTERN = ("cp1252", "iso8859-15")
# log10 of a pair that was never seen, of a sign that may stand anywhere, of an apostrophe where one belongs.
_NEVER, _SIGN, _APOSTROPHE = -8.0, -3.0, -1.0
# A reading below this is hardly text.
_TEXT, _HARDLY_TEXT = -5.2, -4.8
# Of two, the one that is better by this much in so many words that differ rules the other out; by less, where that one is hardly
# text.
_FAR_BETTER, _BETTER, _A_LITTLE_BETTER = (2.0, 1), (1.0, 4), (0.7, 3)
# Windows-1252 was always read where nothing speaks against it.
_WESTERN_TEXT = -6.5
_MOST_WORDS, _MOST_SIGNS = 20_000, 200_000
# What is not Western must differ from that in so many words, or have so many signs: two are no evidence.
_FEWEST_WORDS, _FEWEST_SIGNS = 5, 20
_SIGNS = frozenset("€“”‘’–—…°®™©£«»¿¡ºª½¼¾×²³µ§•·„‚‹›†′″№¥\u00a0\u00ad")
_ELISIONS = frozenset(
    {"l", "d", "s", "j", "n", "m", "c", "t", "qu", "un", "dell", "all", "nell", "sull", "dall", "jusqu", "o"}
)
_ENDINGS = frozenset({"s", "t", "d", "m", "ll", "re", "ve", "n", "em"})
_RUN = re.compile(r"[^\x00-\x7f]+")
_WORD = re.compile(rb"[A-Za-z'\x80-\xff]*[\x80-\xff][A-Za-z'\x80-\xff]*")


@dataclass(frozen=True)
class Reading:
    """How a file reads in one encoding."""

    encoding: str  # Python's name
    shown: str
    score: float  # mean log10 of how likely its letters stand as they do; of signs, 0


class Readings:
    """Takes in a file's bytes, block by block, and says which readings of it are text. Memory is bounded."""

    def __init__(self) -> None:
        self._bytes: set[int] = set()
        self._words: dict[bytes, None] = {}
        self._tail = b""
        self._signs = [_Signs(name, shown) for name, shown in _BY_SIGNS]

    def add(self, block: bytes) -> None:
        """The next bytes."""
        self._signs = [each for each in self._signs if each.takes(block)]
        # A word may go on in the next block.
        whole = self._tail + block
        cut = max(whole.rfind(b"\n"), whole.rfind(b" ")) + 1
        self._tail = whole[cut:] if len(whole) - cut < 4096 else b""
        if not whole.isascii():
            self._bytes.update(block)
            self._take(whole[: len(whole) - len(self._tail)])

    def _take(self, block: bytes) -> None:
        for found in _WORD.finditer(block):
            if len(self._words) >= _MOST_WORDS:
                return
            self._words[found.group()] = None

    def end(self) -> "tuple[Reading | None, list[Reading]]":
        """The one reading that is text, where it is the only one, and all that may be, best first."""
        self._take(self._tail)
        signs = [each for each in self._signs if each.are_text()]
        by_text: dict[tuple[str, ...], tuple[str, str, list[float]]] = {}
        odd = bytes(sorted(each for each in self._bytes if each > 0x7F))
        for name, shown, languages in _BY_LETTERS:
            words = _decoded(odd, list(self._words), name)
            if words is None:
                continue
            scores = _scores(words, languages)
            if words in by_text:  # the same text in another encoding, of other languages
                name, shown, known = by_text[words]
                scores = list(map(max, scores, known))
            by_text[words] = (name, shown, scores)
        left = _not_ruled_out(by_text)
        able = [Reading(name, shown, _mean(scores)) for name, shown, scores in left]
        text = [
            each for each in able if each.score >= _TEXT or (each.encoding == "cp1252" and each.score >= _WESTERN_TEXT)
        ]
        found = [Reading(each.encoding, each.shown, 0.0) for each in signs]
        able = sorted([*found, *able], key=lambda each: -each.score)
        if signs:
            clear = (
                len(signs) == 1 and not any(each.score >= _TEXT for each in text) and signs[0].count >= _FEWEST_SIGNS
            )
            return (found[0] if clear else None), able
        if text and text[0].score < _TEXT and len(able) > 1:
            return None, able
        clear = len(text) == 1 and (text[0].encoding in _WESTERN or self._is_evident(text[0].encoding))
        return (text[0] if clear else None), able

    def _is_evident(self, encoding: str) -> bool:
        """Whether enough words would read otherwise in Windows-1252."""
        differ = sum(word.decode(encoding) != word.decode("cp1252", "replace") for word in self._words)
        return differ >= _FEWEST_WORDS


def _decoded(odd: bytes, words: Sequence[bytes], encoding: str) -> tuple[str, ...] | None:
    try:
        odd.decode(encoding)
        found = tuple(word.decode(encoding) for word in words)
    except UnicodeDecodeError:
        return None
    return None if any("\x7f" <= sign < "\xa0" for sign in odd.decode(encoding)) else found


def _not_ruled_out(
    by_text: Mapping[tuple[str, ...], tuple[str, str, list[float]]],
) -> list[tuple[str, str, list[float]]]:
    left = []
    for words, reading in by_text.items():
        for others, other in by_text.items():
            differ = [n for n, (one, two) in enumerate(zip(words, others, strict=True)) if one != two]
            if not differ:
                continue
            here, there = _mean([reading[2][n] for n in differ]), _mean([other[2][n] for n in differ])
            rules = [_FAR_BETTER, _BETTER, *([_A_LITTLE_BETTER] if here < _HARDLY_TEXT else [])]
            fewest = 3 if reading[0] == "cp1252" else 1  # by far the most tables that are not UTF-8
            if any(there - here >= by and len(differ) >= max(count, fewest) for by, count in rules):
                break
        else:
            left.append(reading)
    return left


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else _NEVER


def _scores(words: Sequence[str], languages: Sequence[str]) -> list[float]:
    """How plausible each word is. Western tables quote each other's languages, others are in one."""
    by_language = [[_in_language(word, _pairs()[language]) for word in words] for language in languages]
    if "fr" in languages:
        return [max(scores) for scores in zip(*by_language, strict=True)]
    return max(by_language, key=_mean)


def _in_language(word: str, pairs: Mapping[str, float]) -> float:
    around = f" {word} "
    scores = [_of_sign(around, place, pairs) for place in range(1, len(around) - 1) if around[place] > "\x7f"]
    return _mean(scores)


def _of_sign(text: str, place: int, pairs: Mapping[str, float]) -> float:
    before, sign, after = text[place - 1], text[place], text[place + 1]
    inside = before.isalpha() and after.isalpha()
    if not sign.isalpha():
        if sign not in _SIGNS:
            return _NEVER
        if sign == "’" and inside:
            left, right = (
                re.split("[^a-z]+", text[:place].lower())[-1],
                re.split("[^a-z]+", text[place + 1 :].lower())[0],
            )
            return _APOSTROPHE if left in _ELISIONS or right in _ENDINGS else _SIGN
        if sign in "¼½¾" and text[place + 1 : place + 3].isalpha():
            return _NEVER
        return _NEVER if inside and sign not in "·\u00ad\u00a0’" else _SIGN
    if (before.islower() and sign.isupper()) or (sign.islower() and after.isupper()):
        return _NEVER
    if not before.isalpha() and not after.isalpha() and sign.isupper():
        return _NEVER
    left, right = (before if before.isalpha() else "_") + sign, sign + (after if after.isalpha() else "_")
    return (pairs.get(left.lower(), _NEVER) + pairs.get(right.lower(), _NEVER)) / 2


@cache
def _pairs() -> Mapping[str, Mapping[str, float]]:
    text = files(__package__).joinpath("letter_pairs.txt").read_text("utf-8")
    lines = [line.partition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {
        name: {line[n : n + 2]: (48 - ord(line[n + 2])) / 4 for n in range(0, len(line), 3)} for name, _, line in lines
    }


class _Signs:
    """One of the encodings in which two bytes make a sign: Chinese, Japanese, Korean."""

    def __init__(self, encoding: str, shown: str) -> None:
        self.encoding = encoding
        self.shown = shown
        self.count = 0
        self._runs = 0
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._common = self._han = self._kana = self._hangul = self._late = self._others = 0

    def takes(self, block: bytes) -> bool:
        """Whether the bytes can be read; counts what they are."""
        try:
            text = self._decoder.decode(block)
        except UnicodeDecodeError:
            return False
        if not text.isascii() and self.count < _MOST_SIGNS:
            self._runs += len(_RUN.findall(text))
            for sign in text:
                if sign > "\x7f":
                    self._count(sign)
        return True

    def _count(self, sign: str) -> None:
        self.count += 1
        if "\u4e00" <= sign <= "\u9fff":
            lead = sign.encode(self.encoding)[0]
            first, last = _COMMON[self.encoding]
            self._han += 1
            self._common += first <= lead <= last
            self._late += lead >= 0xC9
        elif "\u3041" <= sign <= "\u30ff":
            self._kana += 1
        elif "\uac00" <= sign <= "\ud7a3":
            self._hangul += 1
        elif not ("\u3000" <= sign <= "\u303f" or "\uff01" <= sign <= "\uff5e" or sign in _SIGNS):
            self._others += 1

    def are_text(self) -> bool:
        """Whether this is a language: the signs that it uses most, in the shares in which it does."""
        letters = self._han + self._kana + self._hangul
        if not letters or self._others * 20 > letters or self._common < 0.9 * self._han:
            return False
        if self.count < 1.5 * self._runs:
            return False  # one sign in the middle of each word
        if self.encoding == "cp949":
            return self._hangul > 0.9 * letters
        if self.encoding in ("cp932", "euc_jp"):
            return self._kana > 0.15 * letters
        # Korean read as Chinese has only signs from the first half of the alphabet in which Chinese is sorted.
        return self._kana < 0.05 * letters and (self.encoding == "cp950" or self._late > 0.1 * self._han)


# The lead bytes of the signs that are used most: the first level of each national standard.
_COMMON = {
    "cp932": (0x88, 0x98),
    "euc_jp": (0xB0, 0xCF),
    "gb18030": (0xB0, 0xD7),
    "cp950": (0xA4, 0xC6),
    "cp949": (0, 0xFF),
}
