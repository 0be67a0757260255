"""What the tests change in the package by its name is there: else a test would go on, with nothing changed."""

import ast
import importlib
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = "seedream_tasks"
_NAME = re.compile(rf"{PACKAGE}(\.\w+)+")


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def named(tree: ast.AST) -> Iterator[str]:
    """What stands in a string as a dotted name of the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value


def imported(tree: ast.AST) -> Iterator[str]:
    """What a program that stands in a string takes from the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and f"from {PACKAGE}" in node.value:
            try:
                program = ast.parse(textwrap.dedent(node.value))
            except SyntaxError:  # a part of one, or prose
                continue
            for each in ast.walk(program):
                if isinstance(each, ast.ImportFrom) and each.module is not None and each.module.startswith(PACKAGE):
                    yield from (f"{each.module}.{name.name}" for name in each.names)


def assigned(tree: ast.AST) -> Iterator[str]:
    """Attributes of the package's modules that are assigned to."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == PACKAGE:
            modules |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        for target in [each for many in node.targets for each in _parts(many)] if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in modules:
                yield f"{modules[target.value.id]}.{target.attr}"


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple) else [target]


def unseen(tree: ast.AST) -> Iterator[int]:
    """Lines that would make a name where none is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            for keyword in node.keywords:
                if keyword.arg == "raising":
                    yield node.lineno


def wrong(source: str) -> list[str]:
    """What a test file changes and is not there."""
    tree = ast.parse(source)
    names = {*named(tree), *imported(tree), *assigned(tree)}
    return sorted(name for name in names if not _exists(name)) + [f"line {number}" for number in unseen(tree)]


def test_what_is_patched_by_name_exists() -> None:
    """Dotted names of the package in a test, attributes that a test assigns to, what a program in a string imports."""
    found = {str(path.relative_to(TESTS)): wrong(path.read_text("utf-8")) for path in sorted(TESTS.rglob("*.py"))}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_check_finds_what_is_not_there() -> None:
    """A name in a string, an attribute, a program's import, and a patch that is told to make what it does not find."""
    importlib.import_module(f"{PACKAGE}.ledger.claims")
    assert wrong(f'patch.setattr("{PACKAGE}.ledger.claims.LEASE_S", 1)') == []
    assert wrong(f'patch.setattr("{PACKAGE}.ledger.claims.NOTHING", 1)') == [f"{PACKAGE}.ledger.claims.NOTHING"]
    assert wrong(f"from {PACKAGE}.ledger import claims as c\nc.NOTHING, c.LEASE_S = 1, 2") == [
        f"{PACKAGE}.ledger.claims.NOTHING"
    ]
    assert wrong(f"PROGRAM = 'from {PACKAGE}.ledger import claims, nothing'") == [f"{PACKAGE}.ledger.nothing"]
    assert wrong("patch.setattr(claims, 'x', 1, raising=False)") == ["line 1"]
