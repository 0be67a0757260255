"""What is public is typed: no name without a line that a type checker judges."""

import ast
from pathlib import Path

import seedream_tasks

CHECKED = Path(__file__).with_name("public_api.py")


def test_every_public_name_is_used_under_the_eyes_of_a_type_checker() -> None:
    """Each name of `__all__` is used, not only imported, in public_api.py, which `make lint` and the wheel's test check."""
    used = {node.id for node in ast.walk(ast.parse(CHECKED.read_text("utf-8"))) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(ast.parse(CHECKED.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
    assert sorted(set(seedream_tasks.__all__) - used) == []


def test_what_is_named_public_is_there() -> None:
    """Every name of `__all__` can be imported, and `dir` shows it."""
    assert [name for name in seedream_tasks.__all__ if not hasattr(seedream_tasks, name)] == []
    assert set(seedream_tasks.__all__) <= set(dir(seedream_tasks))
