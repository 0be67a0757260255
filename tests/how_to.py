"""Somebody who follows a page of docs/how-to at a terminal: every command, script and setting, in order, as it stands there.

A page's ```sh blocks are run by bash; what serves or works until it is ended (a worker, `seedream serve`) runs until the page's
end. ```python blocks are run too, or kept as the file that a comment before them names: `<!-- file: NAME -->`. So are ```yaml
blocks, or they are put into the folder's prefect.yaml, which the comment `<!-- in prefect.yaml -->` says.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
# These pages are sessions with what they print; tests/cli/test_sessions.py follows them.
SESSIONS = ("recover-a-lost-ledger.md",)
# What runs until somebody ends it.
_STAYING = ("prefect worker start", "seedream serve", "prefect server start")
_BLOCK = re.compile(
    r"^ *(?:<!-- (?:(?P<into>in prefect\.yaml)|file: (?P<file>\S+)) -->\n\s*)?"
    r"```(?P<language>\w+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One block of a page."""

    language: str
    text: str
    file: str | None  # keep it under this name
    into: bool  # it belongs into prefect.yaml


def steps(page: str) -> list[Step]:
    """The blocks of a page in order."""
    text = (HOW_TO / page).read_text(encoding="utf-8")
    assert len(re.findall(r"^ *```\w", text, re.MULTILINE)) == len(_BLOCK.findall(text)), f"{page}: an odd block"
    return [
        Step(found["language"], textwrap.dedent(found["text"]), found["file"], bool(found["into"]))
        for found in _BLOCK.finditer(text)
    ]


def commands(step: Step) -> list[str]:
    """The commands of an ```sh block: one a line, or several that a backslash joins."""
    return [each for each in step.text.replace("\\\n", " ").splitlines() if each.strip()]


@dataclass
class Reader:
    """Somebody at a terminal in a folder. `here`: what the page says for something else -> what it is here."""

    folder: Path
    environment: dict[str, str]
    here: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)  # by each command that ended, in order
    _running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:  # a worker sometimes waits for a second word
                process.kill()
                process.wait()

    def follow(self, page: str, answers: Mapping[str, Any] | None = None) -> None:
        """Do all that a page says. `answers`: a word that stands for what only the reader can know -> how to find it out."""
        for step in steps(page):
            for word, find in (answers or {}).items():
                if word in step.text and word not in self.here:
                    self.here[word] = find()
            self._do(step)

    def _do(self, step: Step) -> None:
        text = self._as_here(step.text)
        if step.file:
            (self.folder / step.file).write_text(text, encoding="utf-8")
        elif step.into:
            self._configure(yaml.safe_load(text))
        elif step.language == "python":
            self._run([sys.executable, "-c", text])
        else:
            assert step.language == "sh", f"nobody knows what to do with {step.language}: {step.text}"
            for command in commands(Step("sh", text, None, False)):
                self._type(command)

    def _as_here(self, text: str) -> str:
        for theirs, ours in self.here.items():
            text = text.replace(theirs, ours)
        return text

    def _configure(self, deployments: list[dict[str, Any]]) -> None:
        """Put these values where the deployments of the folder's prefect.yaml have others; no `sandbox` stays beside them."""
        path = self.folder / "prefect.yaml"
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        for given in deployments:
            (deployment,) = [each for each in whole["deployments"] if each["name"] == given["name"]]
            parameters = {**deployment["parameters"], **given.pop("parameters", {})}
            parameters.pop("sandbox", None)
            deployment.update(given, parameters=parameters)
        path.write_text(yaml.safe_dump(whole), encoding="utf-8")

    def _type(self, command: str) -> None:
        words = command.split("#")[0].strip()
        if words.startswith("export "):
            self._export(words)
        elif words.startswith("pip install "):
            _check_extra(words)
        elif any(program in words for program in _STAYING):
            self.keep_running(words)
        else:
            self._run(["bash", "-euo", "pipefail", "-c", command])

    def keep_running(self, command: str) -> None:
        """Start what stays until this reader leaves."""
        begun = subprocess.Popen(["bash", "-c", f"exec env {command}"], cwd=self.folder, env=self.environment)
        self._running.append(begun)

    def _export(self, words: str) -> None:
        names = re.findall(r"(\w+)=", words)
        shown = "\n".join(f"echo {name}=${name}" for name in names)
        said = self._run(["bash", "-euo", "pipefail", "-c", f"{words}\n{shown}"])
        self.environment |= dict(line.partition("=")[::2] for line in said.splitlines())

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        self.said.append(done.stdout)
        return done.stdout


def _check_extra(words: str) -> None:
    """Nothing is installed by a test: the package and the extra are what this project calls them."""
    found = re.fullmatch(r"pip install '?([\w-]+)(?:\[(\w+)\])?'?", words)
    assert found, words
    about = metadata(found[1])
    assert found[2] is None or found[2] in about.get_all("Provides-Extra", [])


def environment(**more: str) -> dict[str, str]:
    """What the programs of this interpreter need, with nothing that names a gateway, and the commands on its path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEEDREAM_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **more}


def mentioned() -> Iterator[tuple[str, str]]:
    """Commands in the running text of the pages: page, command."""
    for path in sorted(HOW_TO.glob("*.md")):
        text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
        for code in re.findall(r"`([^`\n]+)`", text):
            if code.split()[0] in ("seedream", "prefect", "make", "curl", "pip", "python"):
                yield path.name, code
