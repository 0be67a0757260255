"""Builds the wheel once and tries it where it was never developed: `python scripts/try_wheel.py [--online]`.

Each environment is new, holds the wheel and what it depends on, and nothing of the checkout. It has to show its version, a plan
of a sample and the types of the public names. For the interpreter that runs this, the dependencies are those already
installed; `--online` tries the lowest and the highest Python of pyproject.toml too, where this machine has them, with the
dependencies of the day.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "samples"
PUBLIC_API = ROOT / "tests" / "typing" / "public_api.py"
# pandas has its types in a package of its own, which a caller need not have installed.
_AS_A_CALLER = "[mypy]\nstrict = True\n[mypy-pandas.*]\nignore_missing_imports = True\n"


class WheelFault(Exception):
    """The wheel does not do what it should; the message is what the command said."""


def build(into: Path) -> Path:
    """The wheel of this checkout. Raises WheelFault."""
    _run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into), str(ROOT)]
    )
    (wheel,) = into.glob("*.whl")
    return wheel


def environment(python: str, wheel: Path, at: Path, beside: str | None) -> Path:
    """The interpreter of a new environment with the wheel in it. Raises WheelFault.

    `beside`: a folder with the dependencies; None: they are installed too.
    """
    _run([python, "-m", "venv", str(at)])
    made = at / "bin" / "python"
    install = [str(made), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, *(["--no-deps", "--no-index"] if beside else []), str(wheel)])
    if beside:
        (site,) = at.glob("lib/python3*/site-packages")
        (site / "beside.pth").write_text(f"{beside}\n")
    return made


def try_out(made: Path) -> str:
    """What the installed wheel said of itself: its version, and where it is. Raises WheelFault."""
    seedream = str(made.with_name("seedream"))
    with tempfile.TemporaryDirectory() as folder:  # not the checkout, which must not be found
        where = _run([str(made), "-c", "import seedream_tasks as s; print(s.__version__, s.__file__)"], folder)
        if str(made.parents[1]) not in where:
            raise WheelFault(f"another package than the installed one was found: {where}")
        version = _run([seedream, "--version"], folder)
        plan = [seedream, "plan", str(SAMPLE / "catalog.csv"), "--shots", str(SAMPLE / "shots.yaml"), "--sandbox"]
        if "forecast" not in _run(plan, folder):
            raise WheelFault("the plan has no forecast")
        config = Path(folder) / "mypy.ini"
        config.write_text(_AS_A_CALLER)
        checked = ["--config-file", str(config), "--cache-dir", os.devnull, "--python-executable", str(made)]
        _run([sys.executable, "-m", "mypy", *checked, str(PUBLIC_API)], folder)
    return version.strip()


def interpreters() -> Iterator[tuple[str, str | None]]:
    """The lowest and highest version that pyproject.toml names, each with an interpreter of this machine, if it has one."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    versions = [word for each in classifiers for word in [each.rpartition(":: ")[2]] if word.startswith("3.")]
    for version in sorted({versions[0], versions[-1]}):
        yield version, _interpreter(version)


def _interpreter(version: str) -> str | None:
    """Found by its name, or by pyenv, whose own commands of that name work only for versions that are switched on."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    named = [found for found in [shutil.which(f"python{version}")] if found]
    for each in (*named, *map(str, sorted(home.glob(f"versions/{version}.*/bin/python"), reverse=True))):
        asked = subprocess.run(  # noqa: S603 - an interpreter of this machine
            [each, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() == version:
            return each
    return None


def _run(command: list[str], folder: str | None = None) -> str:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("SEEDREAM_", "GETIMG_", "PYTHON"))
    }
    done = subprocess.run(  # noqa: S603 - our own interpreters, our own arguments
        command, cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise WheelFault(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Try the wheel, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--online", action="store_true", help="other Pythons too, with dependencies from the package index"
    )
    online = parser.parse_args().online
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        for version, python in interpreters() if online else [(ours, sys.executable)]:
            if python is None:
                sys.stdout.write(f"Python {version}: this machine has none, so the wheel was not tried with it\n")
                continue
            beside = sysconfig.get_path("purelib") if version == ours else None
            said = try_out(environment(python, wheel, Path(folder) / version, beside))
            sys.stdout.write(f"Python {version}: {said}: installed, planned a sample, its public names are typed\n")


if __name__ == "__main__":
    try:
        main()
    except WheelFault as fault:
        sys.exit(str(fault))
