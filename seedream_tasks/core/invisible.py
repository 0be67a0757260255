"""Invisible characters: keys and prompts that look the same are the same, and are paid for once.

Zero-width characters are dropped unless their context gives them a meaning: a joiner within an emoji or a Persian or Hindi
word, a variation selector of an emoji or an ideograph, the tags of a flag. Those stay in a prompt.
"""

import re
import unicodedata

# Zero-width spaces and joiners, byte order mark, soft hyphen, bidirectional marks, invisible operators, fillers, annotations,
# variation selectors, tags, and control characters other than white space.
_SUSPECT = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)
_JOINERS = "\u200c\u200d"
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f]")
_TAG = re.compile("[\U000e0020-\U000e007f]")
_FLAG = "\U0001f3f4"
_KEYCAP = "\u20e3"
# Scripts in which a joiner changes the letters beside it lie between Hebrew and Hangul, and in Adlam and the Indic planes.
_JOINING = re.compile(
    "[\u0590-\u10ff\u1700-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00011fff\U0001e900-\U0001e95f]"
)
_IDEOGRAPH = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def visible(text: str) -> str:
    """The text without invisible characters. Emoji, and words of scripts that need joiners, are unchanged."""
    if (text.isascii() and text.isprintable()) or not _SUSPECT.search(text):
        return text
    kept: list[str] = []
    for place, each in enumerate(text):
        if not _SUSPECT.match(each) or _means_something(kept, each, text[place + 1 : place + 2]):
            kept.append(each)
    return "".join(kept)


def as_key(cell: str) -> str:
    """A row's key, normalized so that keys that look the same are equal: NFC, every blank a space, no invisible characters."""
    if cell.isascii() and cell.isprintable():
        return cell.strip()
    seen = _SELECTORS.sub("", visible(unicodedata.normalize("NFC", cell)))
    return "".join(" " if unicodedata.category(each) == "Zs" else each for each in seen).strip()


def _means_something(kept: list[str], each: str, after: str) -> bool:
    before = kept[-1] if kept else ""
    if not before:
        return False
    if each in _JOINERS:
        if _JOINING.match(before):
            return bool(_JOINING.match(after))
        return each == "\u200d" and _is_pictorial(before) and _is_pictorial(after)
    if _SELECTORS.match(each):
        return bool(_is_pictorial(before) or _IDEOGRAPH.match(before) or _JOINING.match(before)) or after == _KEYCAP
    if _TAG.match(each):
        return before == _FLAG or bool(_TAG.match(before))
    return False


def _is_pictorial(character: str) -> bool:
    """Whether this character is, or ends, an emoji."""
    if not character:
        return False
    return (unicodedata.category(character) in ("So", "Sk", "Sm", "Po", "Cn") and not character.isascii()) or bool(
        _SELECTORS.match(character)
    )


def unseen(text: str) -> str:
    """The invisible characters of a text for a message: `U+200B`."""
    return (
        ", ".join(sorted({f"U+{ord(each):04X}" for each in _SUSPECT.findall(text)}))
        or "blanks or accents of another kind"
    )
