"""Reference pages name everything there is: settings, commands and options, columns, statuses, reasons, warnings."""

import re
from pathlib import Path

import click
import pytest

from seedream_tasks.cli.main import seedream
from seedream_tasks.config.environment import known_variables
from seedream_tasks.core.states import Reason, RecordStatus
from seedream_tasks.runs.frozen import RECORD

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def commands(group: click.Group, before: str = "") -> list[tuple[str, click.Command]]:
    """Every command with its words."""
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, f"{before}{name} ")
        else:
            found.append((f"{before}{name}", command))
    return found


def section(page: str, title: str) -> str:
    """The text below a heading up to the next one."""
    text = (DOCS / page).read_text("utf-8")
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, f"{page} has no section {title}"
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize(
    ("words", "command"), commands(seedream), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_documented(words: str, command: click.Command) -> None:
    """docs/commands.md has a section for each command that names each of its options and arguments."""
    text = section("commands.md", f"seedream {words}")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.hidden:
            continue
        names = (
            parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(click.Context(command))]
        )
        assert any(f"`{name}" in text for name in names), f"{words}: {names}"


@pytest.mark.parametrize(
    ("words", "command"), commands(seedream), ids=lambda value: value if isinstance(value, str) else ""
)
def test_help_says_what_holds_without_an_option(words: str, command: click.Command) -> None:
    """`--help` names the default of each option, and so does docs/commands.md."""
    text = section("commands.md", f"seedream {words}")
    for option in command.params:
        if not isinstance(option, click.Option) or option.hidden or option.required:
            continue
        told = option.get_help_record(click.Context(command))
        assert told is not None
        assert "default: " in told[1].lower(), f"{words} {option.opts[0]}: {told[1]}"
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{option.opts[0]}")]
        assert "default: " in line.lower(), line


def test_every_setting_is_documented() -> None:
    """Each environment variable of the project stands in docs/gateways.md: those of gateways by their key or as a pattern."""
    text = (DOCS / "gateways.md").read_text("utf-8")
    assert [
        name for name in sorted(known_variables()) if f"`{name}" not in text and not name.endswith("_BASE_URL")
    ] == []
    assert "`SEEDREAM_<GATEWAY>_BASE_URL`" in text


@pytest.mark.parametrize(
    "words", [sorted(RecordStatus), sorted(Reason), RECORD.names], ids=["status", "reason", "column"]
)
def test_every_word_of_the_manifest_is_documented(words: list[str]) -> None:
    """Columns, statuses and reasons stand in docs/manifest.md in code marks."""
    text = re.sub(r"```.*?```", "", (DOCS / "manifest.md").read_text("utf-8"), flags=re.DOTALL)
    # Lists of words stand in tables without marks.
    marked = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    marked |= {
        word for line in text.splitlines() if line.startswith("| `status`") for word in re.findall("[a-z_]+", line)
    }
    assert [word for word in words if word not in marked] == []


def test_the_pages_that_are_linked_exist() -> None:
    """No link between the pages of docs and those beside README leads nowhere."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+\.md)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
