"""Finds the stand-ins: each is in the folder of its gateway, or in the package that provides the gateway.

The sandbox knows none of them by name. It takes what lies there as `stand_in.STAND_IN`, and nothing else of those folders.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedream_tasks.sandbox.stand_in import StandIn

_FOLDERS = "seedream_tasks.gateways"
_GROUP = "seedream_tasks.gateways"


def stand_ins() -> Mapping[str, "type[StandIn]"]:
    """Gateway -> its stand-in, in the order in which lists show them."""
    return _loaded()[0]


def unusable() -> list[str]:
    """A line for each stand-in of another package that cannot be loaded: which it is, and why."""
    return _loaded()[1]


@cache
def _loaded() -> "tuple[dict[str, type[StandIn]], list[str]]":
    own = [importlib.import_module(f"{_FOLDERS}.{name}.stand_in").STAND_IN for name in _own()]
    found: dict[str, type[StandIn]] = {each.name: each for each in sorted(own, key=lambda each: each.order)}
    complaints = []
    for name, module in sorted(_brought()):
        where = f"{module}.stand_in"
        try:
            kind = importlib.import_module(where).STAND_IN
        except Exception as error:  # noqa: BLE001 - whatever somebody else's package does when it is loaded
            complaints.append(f"no stand-in for {name}: {where}: {type(error).__name__}: {error}")
            continue
        if kind.name != name:
            complaints.append(f"no stand-in for {name}: that of {where} is called {kind.name!r}")
        elif name in found:
            complaints.append(f"there is a stand-in for {name} already, which is not that of {where}")
        else:
            found[name] = kind
    return found, complaints


def _own() -> Iterator[str]:
    folders = importlib.import_module(_FOLDERS)
    return (each.name for each in pkgutil.iter_modules(folders.__path__) if each.ispkg)


def _brought() -> set[tuple[str, str]]:
    return {(point.name, point.module) for point in entry_points(group=_GROUP)}
