"""Templates: Jinja's sandbox, in which one row renders to one text, in every process.

What a template computes with are texts, numbers, switches, none, and lists and maps of them. Anything else (a generator, a
method without its brackets, `loop`, a macro) has an address in memory for a text, which is another prompt, and another purchase,
in each run; so none of it gets to where text is made: not into a filter, a test, an operator, or a method of a text.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, MappingView, MutableMapping
from decimal import Decimal
from functools import lru_cache, wraps
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from jinja2 import StrictUndefined, TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import do_default
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.utils import _PassArg, missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from .amounts import (
    DecimalMarks,
    Number,
    exactly,
    number,
    order_misleads,
    text_is_number,
)
from .column_names import Row, find
from .errors import BadValue

# Whatever a template can raise on a row's text (a filter on the wrong type, a division by zero), or while it is compiled.
FAILS = (
    TemplateError, ArithmeticError, AssertionError, TypeError, ValueError, LookupError, AttributeError, RuntimeError,
    StopIteration, MemoryError,
)  # fmt: skip
# Where a context keeps its catalog's `DecimalMarks`: not a name that a template can spell.
MARKS = "(decimal marks)"
_TEXT = "(text)"
_VALUE = "(value)"
_COMPARED = "(compared)"
_ITEMS = "(items)"
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": eq, "ne": ne, "lt": lt, "lteq": le, "gt": gt, "gteq": ge,
    "in": lambda some, all_: some in all_, "notin": lambda some, all_: some not in all_,
}  # fmt: skip
_ADDRESS = re.compile(r"<[^<>]{1,200} at 0x[0-9a-f]{4,16}>", re.IGNORECASE)
_MOST_REPEATED = 1_000_000  # characters or items that `*` may make
# What goes through a sequence one by one may be given what is gone through once: `x | map('upper') | join`.
_OF_SEQUENCES_TEXT = (
    "batch count first groupby join last length list map max min reject rejectattr reverse select selectattr slice "
    "sort sum unique items dictsort"
)
_OF_SEQUENCES = frozenset(_OF_SEQUENCES_TEXT.split())
# These ask what a value is, or only hand it on: they make no text of it.
_OF_ANYTHING = frozenset({"default", "d", "attr"})
_OF_TYPES_TEXT = (
    "defined undefined callable iterable mapping sequence string number integer float boolean none true false filter "
    "test escaped"
)
_OF_TYPES = frozenset(_OF_TYPES_TEXT.split())


def checked(value: Any) -> Any:
    """The value, if text can be made of it that is the same in every run. Raises TypeError, or what an undefined name raises."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for pair in value.items():
            checked(pair)
    elif isinstance(value, list | tuple):
        for each in value:
            checked(each)
    elif isinstance(value, StrictUndefined):
        str(value)  # raises
    elif not isinstance(value, int | float | Decimal | None):
        raise TypeError(
            f"a {type(value).__name__} is no text (a method without its brackets, or a `map` without `| list`?)"
        )
    return value


def without_address(text: str) -> str:
    """A rendered text. Raises BadValue where it holds an object's address in memory, which is another one in each run."""
    found = _ADDRESS.search(text) if "0x" in text or "0X" in text else None
    if found is not None:
        raise BadValue(f"{found[0][:80]!r} is an object's address in memory, another one in each run")
    return text


def _let_in(value: Any, sequence: bool = False) -> Any:
    """An argument, checked. An undefined one speaks for itself; of what is gone through once the items, where they may be."""
    if isinstance(value, str | StrictUndefined):
        return value
    once: Any = (
        value if isinstance(value, Iterator | range | MappingView) and not isinstance(value, LoopContext) else None
    )
    if sequence and once is not None:
        return checked(list(once))
    return checked(value)


def _items(value: Any) -> Any:
    """The items of a text that is a JSON list, which is what lists of Parquet and JSON read as; anything else as it is."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, list) else value
    return value


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that is given nothing but what has one text."""
    skipped = 0 if _PassArg.from_obj(function) is None else 1  # the context or environment, which comes first
    sequence = name in _OF_SEQUENCES

    @wraps(function)
    def guard(*args: Any, **kwargs: Any) -> Any:
        value = _items(args[skipped]) if sequence else args[skipped]
        if name not in _OF_ANYTHING:
            value = _let_in(value, sequence)
        # `in` looks through its argument, and `reject('in', ...)` hands its own on.
        rest = [_let_in(each, sequence or name == "in") for each in args[skipped + 1 :]]
        named = {key: _let_in(each) for key, each in kwargs.items()}
        return _exact(function(*args[:skipped], value, *rest, **named))

    return guard


def _exact(value: Any) -> Any:
    """A decimal number stays exact in comparisons, whatever was computed with it."""
    return Number(value) if type(value) is Decimal else value


def _integer(value: Any, default: Any = None, base: int = 10) -> Any:
    """`int` that does not make 0 of what it cannot read."""
    try:
        text = _number_text(value)
        try:
            return int(text, base) if isinstance(text, str) else int(text)
        except ValueError:
            return int(_finite(float(text)))
    except (TypeError, ValueError, OverflowError):
        return _unread(value, default, "int")


def _float(value: Any, default: Any = None) -> Any:
    """`float` that does not make 0.0 of what it cannot read."""
    try:
        return _finite(float(_number_text(value)))
    except (TypeError, ValueError, OverflowError):
        return _unread(value, default, "float")


def _number_text(value: Any) -> Any:
    if isinstance(value, str) and "_" in value:
        raise ValueError(value)
    return value


def _finite(value: float) -> float:
    if value - value:  # infinite, or not a number
        raise ValueError(value)
    return value


def _unread(value: Any, default: Any, name: str) -> Any:
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    if default is not None:
        return default
    what = "an empty cell" if isinstance(value, str) and not value.strip() else repr(value)[:62]
    raise BadValue(
        f"`{name}` cannot read {what}: `number` reads amounts as shops write them, `default(0)` stands in for an empty cell"
    )


@pass_context
def _amount(context: Context, value: Any, decimal: str | None = None, column: str | None = None) -> Number:
    """`number`: an amount as shops write it, exactly. `column` is filled in where the template names one."""
    if isinstance(value, StrictUndefined):
        str(value)  # raises
    marks, row = context.parent.get(MARKS), context.parent.get("row", {})

    def settle(numeral: str) -> str | None:
        return marks.of(row, column, numeral) if isinstance(marks, DecimalMarks) else None

    return number(value, decimal, settle)


def _compared(left: Any, right: Any, how: str) -> Any:
    """`left == right` and its like. Raises BadValue where texts of numbers were meant to be compared as numbers."""
    compare = _COMPARISONS[how]
    ordered = how in ("lt", "lteq", "gt", "gteq")
    if ordered and order_misleads(left, right, compare):
        raise BadValue(
            f"{left!r:.62} and {right!r:.62} are compared as texts, which decides otherwise than their numbers do:"
            " put `number` behind each"
        )
    others = right if how in ("in", "notin") and isinstance(right, list | tuple) else [right]
    if not ordered and any(text_is_number(left, each) for each in others):
        raise BadValue(
            f"{left!r:.62} is compared with {right!r:.62}, but a text is never equal to a number: put `number` behind it"
        )
    return compare(left, right)


def _same(value: Any, other: Any) -> bool:
    """`sameas`: of one type and equal; which object it is in memory decides nothing."""
    return type(value) is type(other) and bool(value == other)


class _Formatter(SandboxedFormatter):
    """`'{}'.format(x)`, with a look at what its fields lead to."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        value, first = super().get_field(field_name, args, kwargs)
        return checked(value), first


class _EscapeFormatter(_Formatter, SandboxedEscapeFormatter):
    """The same, of text that was marked as safe."""


class _Guarding(NodeTransformer):
    """Looks at what `~` joins and at what is compared, and tells `number` which column it reads."""

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
        if value is not missing or not isinstance(row, Row):
            return value
        try:
            return find(row, key, self.parent)
        except KeyError:
            return missing


class _Environment(ImmutableSandboxedEnvironment):
    """Undefined names are errors; `default` also stands in for an empty cell, which is what a table has instead of nothing.

    Nothing in it is random, and nothing takes for ever.
    """

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    context_class = _Context
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False, finalize=checked)
        del self.filters["random"], self.globals["lipsum"]
        self.filters |= {
            "default": _default, "d": _default, "int": _integer, "float": _float, "number": _amount,
        }  # fmt: skip
        self.tests["sameas"] = _same
        functions: dict[str, Any] = self.filters
        self.filters = {name: _guarded(name, function) for name, function in functions.items()}
        self.filters |= {_TEXT: checked, _VALUE: _let_in, _ITEMS: _items}  # which are guards themselves
        self.filters[_COMPARED] = _compared  # what it is given was looked at, but for what `in` looks through
        asked: dict[str, Any] = self.tests
        self.tests = {
            name: function if name in _OF_TYPES else _guarded(name, function) for name, function in asked.items()
        }

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        # Jinja's own is a map of maps, which would be walked for every row.
        return {**self.globals, **(d or {})}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        guarded = _Guarding().visit(source)
        guarded.set_environment(self)
        return super()._generate(guarded, *args, **kwargs)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(_items(obj) if isinstance(argument, int) else obj, argument)

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
        return _exact(super().call_binop(context, operator, left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        return _exact(super().call_unop(context, operator, checked(arg)))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja's own
        if isinstance(getattr(__obj, "__self__", None), str):
            args = tuple(_let_in(each, sequence=True) for each in args)
            kwargs = {name: _let_in(each) for name, each in kwargs.items()}
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
    """As `checked`, for references: a list is a JSON list, whose items nothing parts again."""
    links = list(value) if isinstance(value, list | tuple | Iterator) else None
    return checked(value) if links is None else json.dumps([str(checked(link)) for link in links])


_ENVIRONMENT = _Environment()
_OF_LINKS = _ENVIRONMENT.overlay(finalize=_links_too)


def literals(text: str) -> list[str]:
    """What stands in a template as it will be sent: all but its expressions and statements."""
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
