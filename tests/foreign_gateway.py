"""A gateway of another package: the example of docs/write-a-gateway.md, put into a folder as pip installs packages."""

import re
import tomllib
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "write-a-gateway.md"
_FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """The example's files as they stand on the page."""
    return {found["name"]: found["text"] for found in _FILE.finditer(PAGE.read_text(encoding="utf-8"))}


def install(site: Path, written: dict[str, str]) -> None:
    """Put a package and its entry points into a folder that Python looks in."""
    project = tomllib.loads(written["pyproject.toml"])["project"]
    for name, text in written.items():
        if name != "pyproject.toml":
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            (path.parent / "__init__.py").touch()
    about = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
