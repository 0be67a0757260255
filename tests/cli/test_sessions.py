"""The console sessions of the documentation are run, in order, against the sandbox, and must say what they show.

A page's ```console blocks hold commands after `$ ` and what they print, on stdout and stderr. HTML comments between them set the
scene: `<!-- faults: [...] -->`, `<!-- clock: SECONDS -->`, `<!-- removed: FILE -->`, and `<!-- lost task: ID -->`, the id of the
task that the gateway accepted and nobody was told of. Ids, times, addresses and paths may differ; an id that was printed may be
used later.
"""

import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import seedream
from how_to import SESSIONS
from runs import products
from sandbox_process import Sandbox

DOCS = Path(__file__).parents[2] / "docs"
IDS = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9a-f]{12,}(?:-[0-9a-f]+)*|task-unified-\w+-\w+"
CHANGING = {
    IDS: "ID",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d": "TIME",
    r"\d{4}-\d\d-\d\d": "DAY",
    r"\d\d:\d\d:\d\d": "TIME",
    r"https?://[\w.:-]+(?:/\w+)?": "ADDRESS",
    r"#[0-9a-f]{8}": "#KEY",
    r"\S*/(?=(?:out|runs)\b)": "",
}


def steps(page: str) -> list[tuple[str, str]]:
    """Commands and scenes of a page in order, each with what it is to print."""
    found: list[tuple[str, str]] = []
    text = (DOCS / page).read_text("utf-8")
    for block in re.finditer(r"<!-- (faults|clock|lost task|removed): (.*?) -->|```console\n(.*?)```", text, re.DOTALL):
        scene, value, session = block.groups()
        if scene:
            found.append((f"{scene}:{value}", ""))
            continue
        for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


# What a run says while it works, and of the machine it works on: a page shows what came of it.
PASSING = re.compile(
    r"(starting|reading |planning |buying|nothing to buy|forecast: |no --max-usd |writing the manifest"
    r"|.*WARNING.* the archive .* container)"
)


def normal(text: str) -> str:
    """The text without what differs from run to run, the order of what happened at the same moment included."""
    for pattern, word in CHANGING.items():
        text = re.sub(pattern, word, text)
    return "\n".join(sorted(line for line in text.strip().splitlines() if not PASSING.match(line)))


class Reader:
    """Somebody who follows a page at a terminal."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.ids: dict[str, str] = {}  # as the page has them -> as they are here

    def does(self, command: str, shown: str) -> str:
        """Follow one step; what the terminal says."""
        scene, _, value = command.partition(":")
        if scene == "faults":
            self.sandbox.faults(json.loads(value))
            return ""
        if scene == "clock":
            self.sandbox.advance(float(value))
            return ""
        if scene == "removed":
            for path in self.folder.glob(f"{value}*"):
                path.unlink()
            return ""
        if scene == "lost task":
            entry = next(each for each in self.sandbox.bill()["entries"] if each["task_id"] not in self.ids.values())
            self.ids[value] = entry["task_id"]
            return ""
        for theirs, ours in self.ids.items():
            command = command.replace(theirs, ours)
        program, *arguments = shlex.split(command)
        assert program == "seedream"
        ended = seedream(*arguments, cwd=self.folder, together=True)
        for theirs, ours in zip(re.findall(IDS, shown), re.findall(IDS, ended.stdout), strict=False):
            self.ids[theirs] = ours
        return ended.stdout


@pytest.mark.parametrize("page", ["after-a-run.md", *(f"how-to/{page}" for page in SESSIONS)])
def test_the_sessions_of_a_page_say_what_they_show(gateways: Sandbox, tmp_path: Path, page: str) -> None:
    """Every command of the page does here what the page says it does."""
    products(tmp_path / "products.csv", 4)
    reader = Reader(gateways, tmp_path)
    found = steps(page)
    assert len(found) > 3
    for command, shown in found:
        said = reader.does(command, shown)
        assert normal(said) == normal(shown), f"$ {command}"
