"""Task ids: their format, and where answers contain them."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

JSON = dict[str, Any]

# It becomes part of a path: printable, no spaces, no characters that are special in a URL.
_FORM = re.compile(r"[A-Za-z0-9._:~@+=|$-]{1,200}")
_NAMES = ("task_id", "taskId", "taskID", "id")
_PLACES = ("data", "task", "result", "output")
# In text that is not JSON: a name that ends like an id's, and a complete value.
_IN_TEXT = re.compile(r'"([A-Za-z_]*(?:id|Id|ID|uuid|UUID))"\s*:\s*(?:"([^"\\]{1,200})"|(\d{1,30})(?=[\s,}\]]))')
_MOST_KEPT = 20


def is_task_id(text: str) -> bool:
    """Whether a text has the form of a task id: printable, without blanks, at most 200 characters, no path in it."""
    return _FORM.fullmatch(text) is not None and set(text) != {"."}


def id_at(body: JSON, *names: str) -> str:
    """The first task id under these names, a text or a whole number; empty where there is none."""
    for name in names:
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and is_task_id(value.strip()):
            return value.strip()
    return ""


def task_ids_in(body: JSON, names: Sequence[str] = _NAMES) -> tuple[str, ...]:
    """The ids under the names of task ids, at the top and in the parts of a body that hold a task; each once."""
    found = []
    for holder in (body, *(part for name in _PLACES for part in _objects(body.get(name)))):
        found += [found_id for name in names if (found_id := id_at(holder, name))]
    return tuple(dict.fromkeys(found))


def names_a_task(body: JSON) -> bool:
    """Whether an id is said to be a task's: a bare `id` may be that of the request."""
    return bool(task_ids_in(body, [name for name in _NAMES if name != "id"]))


def _objects(value: Any) -> list[JSON]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def task_id_in(body: JSON) -> str:
    """The task id that a callback's body names, wherever its gateway puts it; empty where it names none that could be one."""
    for holder in (body, *_objects(body.get("data"))[:1]):
        if found := id_at(holder, "task_id", "taskId", "id"):
            return found
    return ""


def ids_in_text(text: str) -> tuple[str, ...]:
    """Every value that may be the id of a task, also of a text that was cut short; task ids by their names come first."""
    found: list[tuple[str, str]] = []
    try:
        found += _walk(json.loads(text))
    except (ValueError, RecursionError):
        found += [(each[1], each[2] or each[3]) for each in _IN_TEXT.finditer(text)]
    usable = [(name not in _NAMES, value) for name, value in found if is_task_id(value)]
    return tuple(dict.fromkeys(value for _, value in sorted(usable, key=lambda each: each[0])))[:_MOST_KEPT]


def _walk(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _walk(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, dict | list):
                yield from _walk(each)
            elif re.search(r"(^id|_id|Id|ID|uuid|UUID)$", name) and isinstance(each, str | int):
                yield name, str(each).strip()
