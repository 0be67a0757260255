"""YAML as people mean it: `21:9` is text, `0.031` is an exact decimal, a duplicate key is an error.

YAML 1.1 (what PyYAML reads) takes `21:9` for the base-60 number 1269 and `no` for false. Shot lists hold ratios and price
files hold money, so both readings would be silent mistakes.
"""

import re
from decimal import Decimal
from typing import Any

import yaml

from .errors import InputError


class _Loader(yaml.SafeLoader):
    """SafeLoader with our own idea of numbers and booleans."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if isinstance(key, dict):
            raise InputError(
                f"line {line}: put a text that begins with braces in quotes", line=line, hint='"{{ name }}"'
            )
        if not isinstance(key, str | int):
            raise InputError(f"line {line}: a key must be plain text", line=line)
        if key in result:
            raise InputError(f"line {line}: duplicate key {key!r}", line=line, field=str(key))
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789.")
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: Decimal(node.value))
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


# Parser message -> hint.
_WAYS_OUT = {
    "mapping values": "put a text that contains a colon and a space in quotes",
    "'\\t'": "indent with spaces, not tabs",
}


def read_yaml(text: str, what: str) -> Any:
    """Parse one document; `what` names the file in errors. Numbers with a point come as Decimal."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except InputError as error:
        raise InputError(f"{what}: {error.message}", **error.facts) from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{what}: not valid YAML: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        at, why = (f"line {line}: ", getattr(error, "problem", None)) if line else ("", None)
        hint = next((way for sign, way in _WAYS_OUT.items() if why and sign in why), None)
        raise InputError(f"{what}: {at}not valid YAML: {why or error}", line=line, hint=hint) from None
