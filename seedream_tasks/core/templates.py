"""Templates: Jinja's sandbox, in which one row renders to one text, in every process.

What a template computes with are texts, numbers, switches, none, and lists and maps of them. Anything else (a generator, a
method without its brackets, `loop`, a macro) has an address in memory for a text, which is another prompt, and another purchase,
in each run; so none of it gets to where text is made: not into a filter, a test, an operator, or a method of a text.
"""

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import do_default
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from .amounts import exactly
from .column_names import RowCells, find
from .template_values import (
    OF_TYPES,
    amount,
    as_float,
    as_integer,
    checked,
    compared,
    exact,
    guarded,
    items,
    let_in,
    same_as_other,
)

# Errors a template can raise on a row's text (a filter on the wrong type, a division by zero), or at compilation.
FAILS = (
    TemplateError, ArithmeticError, AssertionError, TypeError, ValueError, LookupError, AttributeError, RuntimeError,
    StopIteration, MemoryError,
)  # fmt: skip
_TEXT = "(text)"
_VALUE = "(value)"
_COMPARED = "(compared)"
_ITEMS = "(items)"
_MOST_REPEATED = 1_000_000  # characters or items that `*` may make


class _Formatter(SandboxedFormatter):
    """`'{}'.format(x)`, with its field values checked."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        return checked(value), first


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same for text marked as safe."""


class _Guarding(NodeTransformer):
    """Checks the operands of `~` and of comparisons, and passes to `number` the column it reads."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.nodes = [_through(_TEXT, each) for each in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):  # which Jinja takes by itself, without `getitem`
            node.node = _through(_ITEMS, node.node)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.iter = _through(_ITEMS, node.iter)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.expr = _through(_VALUE, node.expr)
        for operand in node.ops:
            if operand.op not in ("in", "notin"):
                operand.expr = _through(_VALUE, operand.expr)
        if len(node.ops) == 1:
            operand = node.ops[0]
            given: list[nodes.Expr] = [operand.expr, nodes.Const(operand.op)]
            return nodes.Filter(node.expr, _COMPARED, given, [], None, None, lineno=node.lineno)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        column = _column(node.node) if node.name == "number" else None
        if column is not None:
            keywords: list[Any] = node.kwargs  # Jinja's hints call them pairs
            keywords.append(nodes.Keyword("column", nodes.Const(column), lineno=node.lineno))
        return node


def _through(name: str, node: Any) -> nodes.Expr:
    return (
        node
        if isinstance(node, nodes.TemplateData)
        else nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
    )


def _column(node: nodes.Node | None) -> str | None:
    """The column that an expression reads: `price`, `row['Price']`, also behind filters and methods."""
    while not isinstance(node, nodes.Name):
        if not isinstance(node, nodes.Filter | nodes.Call | nodes.Getattr | nodes.Getitem) or node.node is None:
            return None
        if isinstance(node.node, nodes.Name) and node.node.name == "row":
            if isinstance(node, nodes.Getattr):
                return node.attr
            return (
                str(node.arg.value) if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) else None
            )
        node = node.node
    return node.name


class _Context(Context):
    """Finds names that are not written exactly like a column."""

    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        row = self.parent.get("row")
        if value is not missing or not isinstance(row, RowCells):
            return value
        try:
            return find(row, key, self.parent)
        except KeyError:
            return missing


class _Environment(ImmutableSandboxedEnvironment):
    """Undefined names are errors; `default` also replaces an empty cell, which is a table's missing value.

    Rendering is deterministic and bounded.
    """

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    context_class = _Context
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, finalize=checked)
        del self.filters["random"], self.globals["lipsum"]
        self.filters |= {
            "default": _default, "d": _default, "int": as_integer, "float": as_float, "number": amount,
        }  # fmt: skip
        self.tests["sameas"] = same_as_other
        functions: dict[str, Any] = self.filters
        self.filters = {name: guarded(name, function) for name, function in functions.items()}
        self.filters |= {_TEXT: checked, _VALUE: let_in, _ITEMS: items}  # guards themselves
        self.filters[_COMPARED] = compared  # what it is given was looked at, but for what `in` looks through
        asked: dict[str, Any] = self.tests
        self.tests = {
            name: function if name in OF_TYPES else guarded(name, function) for name, function in asked.items()
        }

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        # Jinja's own is a map of maps, searched for every row.
        return {**self.globals, **(d or {})}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        guarded = _Guarding().visit(source)
        guarded.set_environment(self)
        return super()._generate(guarded, *args, **kwargs)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(items(obj) if isinstance(argument, int) else obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            raise SecurityError(f"{operator} is switched off")
        left, right = checked(left), checked(right)
        if isinstance(left, Decimal) or isinstance(right, Decimal):
            left, right = exactly(left), exactly(right)
        for some, times in ((left, right), (right, left)):
            repeats = operator == "*" and isinstance(some, str | list | tuple) and isinstance(times, int)
            if repeats and len(some) * times > _MOST_REPEATED:
                raise SecurityError(f"more than {_MOST_REPEATED:,} characters or items at once")
        return exact(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return exact(super().call_unop(context, operator, checked(arg)))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja's own
        if isinstance(getattr(__obj, "__self__", None), str):
            args = tuple(let_in(each, sequence=True) for each in args)
            kwargs = {name: let_in(each) for name, each in kwargs.items()}
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        text = value.__self__
        formatter = _EscapeFormatter(self, escape=text.escape) if isinstance(text, Markup) else _Formatter(self)
        if value.__name__ == "format_map":
            return lambda fields: type(text)(formatter.vformat(text, (), fields))
        return lambda *args, **kwargs: type(text)(formatter.vformat(text, args, kwargs))


def _default(value: Any, text: Any = "", boolean: bool = True) -> Any:
    return do_default(value, text, boolean)


def _links_too(value: Any) -> Any:
    """As `checked`, for references: a list becomes a JSON list, whose items are not split again."""
    links = list(value) if isinstance(value, list | tuple | Iterator) else None
    return checked(value) if links is None else json.dumps([str(checked(link)) for link in links])


_ENVIRONMENT = _Environment()
_OF_LINKS = _ENVIRONMENT.overlay(finalize=_links_too)


def literals(text: str) -> list[str]:
    """The literal text of a template: all but its expressions and statements."""
    return [value for _, kind, value in _ENVIRONMENT.lex(text) if kind == "data"]


@lru_cache(maxsize=4096)
def template(text: str) -> Callable[[Mapping[str, Any]], str]:
    """The compiled template: context -> text."""
    return _ENVIRONMENT.from_string(text).render


@lru_cache(maxsize=4096)
def links(text: str) -> Callable[[Mapping[str, Any]], str]:
    """The compiled template of a reference: context -> text; a list becomes a JSON list."""
    return _OF_LINKS.from_string(text).render


@lru_cache(maxsize=4096)
def expression(text: str) -> Callable[..., Any]:
    """The compiled expression: context -> value."""
    return _ENVIRONMENT.compile_expression(text, undefined_to_none=False)
