"""Which code may know what: the rings of the package, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "seedream_tasks"
SOURCE = Path(__file__).parents[1] / PACKAGE
# From the inside out. The last two do not know each other.
ORDER = (
    *(
        "core",
        "gateways",
        "ledger",
        "storage",
        "images",
        "references",
        "catalog",
        "runs",
        "config",
        "planning",
        "engine",
    ),
    *("maintenance", "orchestration", "uploads", "server"),
)
RANK = {name: rank for rank, name in enumerate(ORDER)}
RANK |= {"sandbox": len(ORDER), "cli": len(ORDER)}
STAND_IN = "stand_in"
FOLDERS = {path.parent.name for path in SOURCE.glob("gateways/*/__init__.py")}
INNERMOST = {"version"}  # everybody may know the version
FOREIGN_TO_CORE = {
    *("sqlalchemy", "httpx", "aiohttp", "fsspec", "prefect", "pandas", "pyarrow", "requests", "socket", "subprocess"),
    *("urllib.request", "http.client", "asyncio"),
}
# Reading files or the clock: values come into core, they are not fetched from there.
CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.perf_counter", "time.sleep"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
}
FILES = {"open", "io.open", "os.open", "Path", "pathlib.Path", "os.environ", "os.getenv"}


def violations(root: Path) -> list[str]:
    """Every import or call that breaks the rings below `root`, a folder called like the package, as file:line: what."""
    found = []
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).with_suffix("").parts
        ring = module[0] if len(module) > 1 else None
        if ring is None:
            continue  # the package's own front door knows all rings
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at = f"{path.relative_to(root.parent)}"
        if ring not in RANK:
            found.append(f"{at}:1: {ring} is no ring")
            continue
        for line, target in _imports(tree, module):
            problem = _problem_of_folder(module, target) or _problem(_ring_of(module), target)
            if problem:
                found.append(f"{at}:{line}: {problem}")
        if ring == "core":
            found += [f"{at}:{line}: core uses {name}" for line, name in _uses(tree) if name in CLOCKS | FILES]
    return found


def _imports(tree: ast.AST, module: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Absolute names of everything imported, wherever in the file."""
    package = [PACKAGE, *module[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def _problem(ring: str, target: str) -> str | None:
    parts = target.split(".")
    if parts[0] != PACKAGE:
        foreign = any(target == name or target.startswith(f"{name}.") for name in FOREIGN_TO_CORE)
        return f"core imports {target}" if ring == "core" and foreign else None
    inner = parts[1] if len(parts) > 1 else ""
    if ring == "sandbox":
        return None if inner == "sandbox" else f"sandbox, a stand-in for strangers, imports {target}"
    if inner in INNERMOST or inner == ring:
        return None
    if inner not in RANK:
        return f"{ring} imports {target}, the front door of all rings"
    return f"{ring} imports {target} from an outer ring" if RANK[inner] >= RANK[ring] else None


def _ring_of(module: tuple[str, ...]) -> str:
    """A stand-in lies in its gateway's folder, and is the sandbox's."""
    return "sandbox" if module[0] == "gateways" and module[-1] == STAND_IN else module[0]


def _problem_of_folder(module: tuple[str, ...], target: str) -> str | None:
    """A gateway's folder: nobody in the ring imports what is in it, and what is in it knows neither stand-in nor neighbour."""
    parts = target.split(".")
    if parts[:2] != [PACKAGE, "gateways"] or len(parts) < 3 or parts[2] not in FOLDERS:
        return None
    own = len(module) > 2 and module[0] == "gateways" and module[1] == parts[2]
    if not own:
        return f"{target} is inside a gateway's folder: only the registry loads it, by its place"
    return f"{target} is the witness: what it is to check does not know it" if STAND_IN in parts else None


def _uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Dotted names as they are written, calls and attributes alike."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id
        elif isinstance(node, ast.Attribute):
            parts = [node.attr]
            value = node.value
            while isinstance(value, ast.Attribute):
                parts.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name):
                yield node.lineno, ".".join([value.id, *reversed(parts)])


def test_inner_rings_never_import_outer_ones() -> None:
    """A ring knows itself and those inside it; core has no I/O and no clock; the sandbox knows nobody."""
    assert not violations(SOURCE), "\n".join(violations(SOURCE))


def test_every_ring_is_looked_at() -> None:
    """The check above means something: all rings are there, with code in them."""
    assert {path.parent.name for path in SOURCE.glob("*/*.py")} >= set(RANK)


PLANTED = {
    "import from further out": ("core/jobs.py", "from ..ledger.store import Ledger"),
    "absolute import": ("images/decode.py", "import seedream_tasks.engine.account_limiter"),
    "module of the package": ("gateways/http.py", "from .. import catalog"),
    "inside a function": ("catalog/tables.py", "def late():\n    from ..orchestration import flows"),
    "for type checking only": (
        "ledger/store.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..engine.engine import Engine",
    ),
    "front door": ("core/money.py", "from seedream_tasks import catalog_images"),
    "sandbox knows core": ("sandbox/prices.py", "from ..core.pricing import PriceRow"),
    "deep in the sandbox": ("sandbox/images/drawing.py", "from ...version import __version__"),
    "engine knows the sandbox": ("config/embedded_sandbox.py", "from ..sandbox.server import serve"),
    "cli knows the sandbox": ("cli/main.py", "from seedream_tasks.sandbox import command"),
    "library with I/O": ("core/render.py", "import fsspec.core"),
    "part of a library with I/O": ("core/render.py", "from pyarrow import parquet"),
    "file": ("core/shots.py", "text = open('shots.yaml').read()"),
    "clock": ("core/pricing.py", "import time\nnow = time.time()"),
    "calendar": ("core/pricing.py", "import datetime\nnow = datetime.datetime.now()"),
    "stand-in knows its gateway's rows": ("gateways/evolink/stand_in.py", "from .offers import GATEWAY"),
    "stand-in knows core": ("gateways/evolink/stand_in.py", "from ...core.money import money"),
    "dialect knows its stand-in": ("gateways/evolink/dialect.py", "from .stand_in import STAND_IN"),
    "dialect knows the sandbox": ("gateways/evolink/dialect.py", "from seedream_tasks.sandbox.prices import money"),
    "one gateway knows another": ("gateways/evolink/offers.py", "from ..gccai.offers import ERROR_CODES"),
    "the client knows a gateway": ("gateways/client.py", "from .evolink.dialect import DIALECT"),
    "the engine knows a gateway": ("engine/lanes.py", "from ..gateways.getimg import dialect"),
    "new folder": ("helpers/text.py", "pass"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_the_check_catches(planted: str, tmp_path: Path) -> None:
    """A planted violation is named with its file and line."""
    where, code = PLANTED[planted]
    root = tmp_path / PACKAGE
    path = root / where
    path.parent.mkdir(parents=True)
    path.write_text(f"{code}\n", encoding="utf-8")
    last_line = code.count("\n") + 1
    (found,) = violations(root)
    assert found.startswith(f"{PACKAGE}/{where}:{last_line}: ")


def test_the_check_lets_the_right_direction_pass(tmp_path: Path) -> None:
    """Outer rings may know all inner ones, and the front door knows every ring."""
    root = tmp_path / PACKAGE
    for where, code in {
        "cli/main.py": "from ..orchestration.flows import catalog_images\nfrom ..core import money\nimport prefect",
        "core/shots.py": "from .jobs import Job\nfrom datetime import datetime\nimport time",
        "sandbox/images/drawing.py": "from ..prices import money\nimport aiohttp",
        "gateways/evolink/dialect.py": "from .offers import GATEWAY\nfrom ..reading import JSON\nfrom ...core.jobs import Job",
        "gateways/evolink/stand_in.py": "from seedream_tasks.sandbox.stand_in import StandIn\nimport aiohttp",
        "__init__.py": "from .engine import engine",
    }.items():
        path = root / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{code}\n", encoding="utf-8")
    assert violations(root) == []
