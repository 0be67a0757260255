"""Text that meets a terminal or a log acts on neither."""

import io
import json
import logging
import re
from pathlib import Path

import pytest

import seedream_tasks
from seedream_tasks.core.printable import clean_loggers, printable, printable_json

PACKAGE = Path(seedream_tasks.__file__).parent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nERROR forged", r"a\nERROR forged"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("over\rwritten", r"over\rwritten"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u2066b\u2028c", r"a\u2066b\u2028c"),
        ("half \ud83d", r"half \ud83d"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text: str, shown: str) -> None:
    """Controls, line breaks, overrides of the direction, halves of characters."""
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["Größe 10 €", "写真", "👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "می‌خواهم", r"C:\new"])
def test_what_is_only_text_stays(text: str) -> None:
    """Any script, emoji, and a backslash."""
    assert printable(text) == text


def test_json_stays_the_same_value() -> None:
    """Escaped as JSON has it, so that whoever reads it gets the data."""
    value = {"key": "a\u202eb\x7f\x9b", "smile": "😀"}
    text = printable_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert "\u202e" not in text
    assert "😀" in text


def test_a_log_line_is_one_line_without_secrets() -> None:
    """For every handler, arguments and exceptions included."""
    logger, out = logging.getLogger("test.printable"), io.StringIO()
    clean_loggers((logger.name,))
    clean_loggers((logger.name,))
    assert len(logger.filters) == 1
    handler = logging.StreamHandler(out)
    logger.addHandler(handler)
    fault = ValueError("https://h/a?sig=SECRET\x1b[2J")
    logger.error("key %s at %s", "a\nERROR forged", "https://u:SECRET@h/a", exc_info=fault)
    logger.removeHandler(handler)
    told = out.getvalue()
    assert told.startswith("key a\\nERROR forged at https://h/a\nValueError")
    assert "SECRET" not in told
    assert "\x1b" not in told


def test_every_logger_of_the_package_is_clean() -> None:
    """A new one is named where they are cleaned."""
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'getLogger\("(seedream_tasks\.[^"]+)"\)', path.read_text("utf-8"))
    }
    assert named
    assert named <= set(seedream_tasks.LOGGERS)
    assert all(logging.getLogger(name).filters for name in named)
