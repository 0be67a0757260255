"""Text made safe for terminals and logs: no character moves the cursor, begins a line or reverses the direction."""

import logging
import re
import traceback
import unicodedata

from .secrets import without_secrets

# In emoji and in Persian and Indic words these join or separate letters; they are harmless.
_JOINERS = frozenset("\u200c\u200d")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_SUSPECT = re.compile(r"[^ -~]")
_SUSPECT_BUT_LINES = re.compile(r"[^ -~\n]")


def _acts(character: str) -> bool:
    kind = unicodedata.category(character)
    tag = "\U000e0020" <= character <= "\U000e007f"  # in flags
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS and not tag)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str, lines: bool = False) -> str:
    """The text with control characters, bidirectional overrides and the like escaped; `lines`: keep line breaks."""
    suspect = _SUSPECT_BUT_LINES if lines else _SUSPECT
    return suspect.sub(lambda found: _escape(found[0]) if _acts(found[0]) else found[0], text)


def printable_json(text: str) -> str:
    """The same JSON value, as text that is safe on a terminal."""
    return _SUSPECT.sub(lambda found: _as_json(found[0]) if _acts(found[0]) else found[0], text)


def _as_json(character: str) -> str:
    pair = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4))


# `extra={IN_FULL: True}`: an address that a person is to open, including its token.
IN_FULL = "seedream_in_full"


class Clean(logging.Filter):
    """A logging filter that removes secrets of addresses and terminal control characters."""

    def __init__(self, lines: bool = False) -> None:
        super().__init__()
        self._lines = lines

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record for all handlers; every record passes."""
        text = record.getMessage()
        if not getattr(record, IN_FULL, False):
            text = without_secrets(text)
        record.msg, record.args = printable(text, self._lines), None
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            told = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            record.exc_text = printable(without_secrets(told), lines=True)
        return True


def clean_loggers(names: tuple[str, ...], lines: bool = False) -> None:
    """Make these loggers log clean text only; idempotent. A logger's children are not included."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(each, Clean) for each in logger.filters):
            logger.addFilter(Clean(lines))
