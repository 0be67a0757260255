"""Renders every filter, test, operator and method of a text with values of every kind; prints expression -> text, or "refused".

Run by two processes whose hashes and addresses differ, it must print the same twice.
"""

import json
import sys
from collections.abc import Iterator

from seedream_tasks.core.errors import InputError, RowError
from seedream_tasks.core.render import Columns, check_templates, render_job
from seedream_tasks.core.shots import make_shot
from seedream_tasks.core.templates import _ENVIRONMENT

ROW = {"sku": "p1", "title": "Desk lamp", "price": "19.90", "empty": ""}
VALUES = [
    *(
        "title",
        "price",
        "empty",
        "3",
        "2.5",
        "true",
        "none",
        "price | number",
        "['b', 'a']",
        "{'b': 1, 'a': [2]}",
        "row",
    ),
    *(
        "title | safe",
        "title | list",
        "nothing",
        "row.nothing",
        "title.strip",
        "title.upper",
        "row.items",
        "[title.strip]",
    ),
    *("{'a': title.strip}", "{title.strip: 1}", "title | map('upper')", "[title | map('upper')]", "row.keys()"),
    *(
        "row.items()",
        "row.values()",
        "range(3)",
        "range",
        "cycler('a', 'b')",
        "joiner()",
        "namespace(a=1)",
        "shown",
        "self",
    ),
    *("loop", "[title] | groupby(0)", "title | batch(2)", "title | reverse", "[3, 1] | reverse", "title.format"),
    *("title | select", "dict(a=title)", "dict", "title.encode()", "[title] | map(attribute='strip')", "'%s %s'"),
    *("'{0.strip}'", "'{}'", "'{0}{0!r}'"),
]
OPERATORS = ["~", "%", "+", "-", "*", "/", "//", "**", "==", "!=", "<", ">=", "in", "not in", "and", "or"]
ARGUMENTS = ["(title.strip)", "('a', loop)", "(title | map('upper'))", "('%s', range(2))", "(2)", "('title')"]
ODD = ["title.strip", "loop", "title | map('upper')", "[title.strip]", "row.items()", "range(3)", "shown"]


def expressions() -> Iterator[str]:
    """What a template can do with a value."""
    filters = sorted(name for name in _ENVIRONMENT.filters if name.isidentifier())
    for value in VALUES:
        yield value
        yield f"-({value})"
        yield f"({value})()"
        yield f"'x' if ({value}) else 'y'"
        yield f"'{{a}}'.format_map({{'a': {value}}})"
        yield from (f"({value}) | {name}" for name in filters)
        yield from (f"({value}) is {name}" for name in sorted(_ENVIRONMENT.tests) if name.isidentifier())
        yield from (f"({value}) {operator} title" for operator in OPERATORS)
        yield from (f"'{{}} %s' {operator} ({value})" for operator in OPERATORS)
    for name in filters:
        for text in ("title", "['b', 'a']"):
            yield from (f"{text} | {name}{arguments}" for arguments in ARGUMENTS)
    for value in ODD:
        yield from (f"(({value}) | {name}) ~ ''" for name in filters)
        yield from (f"[{value}] | map('{name}') | list" for name in filters)
        yield from (f"title is {name}({value})" for name in sorted(_ENVIRONMENT.tests) if name.isidentifier())
        for method in sorted(name for name in dir(str) if not name.startswith("_")):
            yield from (f"{text}.{method}({value})" for text in ("title", "'{} %s'", "('{}' | safe)"))
        yield f"('{{}}' | safe).join([{value}])"
        yield f"title.replace('a', ({value}))"


def rendered(expression: str) -> str:
    """What a template prints of it, inside a loop and beside a macro."""
    prompt = (
        f"{{% macro shown(x) %}}{{{{ x }}}}{{% endmacro %}}{{% for i in [1] %}}A {{{{ {expression} }}}}{{% endfor %}}"
    )
    try:
        shot = make_shot({"name": "hero", "prompt": prompt}, "test")
        check_templates(shot)
        return render_job(shot, "p1", Columns(list(ROW)).context(list(ROW.values()), {})).prompt
    except (InputError, RowError):
        return "refused"


if __name__ == "__main__":
    json.dump({each: rendered(each) for each in expressions()}, sys.stdout)
