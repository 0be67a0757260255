"""Templates render one row to one text, in every process, and read amounts as shops write them."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedream_tasks.core.amounts import DecimalMarks, Number, read_amount
from seedream_tasks.core.errors import RowError
from seedream_tasks.core.render import Columns, build_job, is_wanted, render_job
from seedream_tasks.core.shots import make_shot
from seedream_tasks.core.template_values import MARKS

SCRIPT = Path(__file__).with_name("every_expression.py")


def prompt(template: str, cell: str = "19.90", **extra: Any) -> str:
    """What a prompt becomes in a row with this price."""
    columns = Columns(["sku", "Title", "Price"])
    context = columns.context(["p1", "Desk lamp", cell], extra)
    return render_job(make_shot({"name": "hero", "prompt": template}, "test"), "p1", context).prompt


def refused(template: str, cell: str = "19.90", **extra: Any) -> RowError:
    """The error of a row that cannot be rendered."""
    with pytest.raises(RowError) as caught:
        prompt(template, cell, **extra)
    return caught.value


def wanted(condition: str, cell: str) -> bool:
    """Whether a row with this price meets the condition."""
    context = Columns(["sku", "Price"]).context(["p1", cell], {})
    return is_wanted(make_shot({"name": "hero", "prompt": "A lamp", "when": condition}, "test"), context)


@pytest.mark.slow
def test_every_expression_is_one_text_in_every_process_or_is_refused() -> None:
    """Every filter, test, operator and method, with values of every kind, in two processes with other hashes and addresses."""
    outputs = []
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        )
        outputs.append(json.loads(ran.stdout))
    first, second = outputs
    assert {each: (text, second[each]) for each, text in first.items() if text != second[each]} == {}
    assert [each for each, text in first.items() if " at 0x" in text.lower()] == []
    assert sum(text != "refused" for text in first.values()) > 1000


@pytest.mark.parametrize(
    "expression",
    [
        "title | map('upper') ~ ''",
        "title | map('upper') | string",
        "(title | map('upper')) | upper",
        "'%s' % (title | map('upper'))",
        "'{}'.format(title | map('upper'))",
        "'{0.strip}'.format(title)",
        "title | replace('Desk', title.strip)",
        "[title | map('upper')] | join",
        "[title.strip] | pprint",
        "('{}' | safe).join([title.strip])",
        "(title.strip ~ '') | truncate(12)",
        "(title.strip | string) is lower",
        "namespace(a=1) ~ ''",
        "title.strip == title.strip",
    ],
)
def test_nothing_but_text_becomes_text(expression: str) -> None:
    """A generator's or a method's text is its address in memory: another prompt, and another purchase, in each run."""
    assert refused(f"A {{{{ {expression} }}}}").facts["error_code"] == "template_error"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("title | map('upper') | join", "DESK LAMP"),
        ("', '.join(title.split() | map('lower'))", "desk, lamp"),
        ("row.values() | join('/')", "p1/Desk lamp/19.90"),
        ("'%s, %s' % (title, price)", "Desk lamp, 19.90"),
        ("'{0[Title]}'.format(row)", "Desk lamp"),
        ("range(3) | list", "[0, 1, 2]"),
        ("title | list | unique | list | length", "9"),
        ("['a', 'B'] | reject('in', ['b'] | map('upper')) | join", "a"),
        ("[3, 1] | reverse | list", "[1, 3]"),
    ],
)
def test_sequences_become_text_where_each_item_has_one(expression: str, text: str) -> None:
    """What is gone through once may go into what goes through it."""
    assert prompt(f"{{{{ {expression} }}}}") == text


@pytest.mark.parametrize("text", ["<generator object f at 0x7f3a5c0e1b30>", "a <Lamp OBJECT AT 0X7F3A5C0E1B30> b"])
def test_a_prompt_with_an_objects_address_is_an_error(text: str) -> None:
    """However it got into it, in a cell too: it is another one in each run."""
    assert "address" in refused("A {{ price }}", text).message
    with pytest.raises(RowError, match="address"):
        build_job("p1", "image", {"prompt": text})


def test_a_condition_that_is_no_value_is_an_error() -> None:
    """A forgotten pair of brackets is true for every row."""
    with pytest.raises(RowError, match="when"):
        wanted("price.strip", "1")


def test_what_repeats_without_end_is_refused() -> None:
    """Neither the machine nor the run goes down with it."""
    assert "at once" in refused("{{ title * 99999999 }}").message


# Numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("7900.00 SEK", "7900.00"), ("1.249,00", "1249.00"), ("€ 49.00", "49.00"), ("19,90", "19.90")),
        *(("1'249.50", "1249.50"), ("1’249.50", "1249.50"), ("12 345,67 zł", "12345.67"), ("0.5", "0.5"), ("-3", "-3")),
        *(("12\u00a0345,67", "12345.67"), ("12\u202f345,678 €", "12345.678"), ("1\u2009249", "1249"), (",5", "0.5")),
        *(("(3.00)", "-3.00"), ("3,00-", "-3.00"), ("\u22125,00 €", "-5.00"), ("€-3", "-3"), ("-€3", "-3")),
        *(("1.249.000", "1249000"), ("1,249,000.5", "1249000.5"), ("12,34,567.00", "1234567.00"), ("0.249", "0.249")),
        *(
            ("1234.567", "1234.567"),
            ("49,-", "49"),
            ("CHF 49.–", "49"),
            ("kr. 1.299,-", "1299"),
            ("US$ 19.90", "19.90"),
        ),
        *(
            ("R$ 1.249,90", "1249.90"),
            ("Rs.1,23,456", "123456"),
            ("19.90EUR", "19.90"),
            ("1e3", "1000"),
            ("٣٫٥", "3.5"),
        ),
        *(("129:-", "129"), ("1 290:-", "1290"), ("Rs. 500/-", "500"), ("980円", "980"), ("120 元", "120")),
        *(("１２，５", "12.5"), ("\u200e19.90\u200f", "19.90"), ("1 000.000", "1000.000"), ("007", "7")),
    ],
)
def test_amounts_as_shops_write_them(text: str, value: str) -> None:
    """Decimal comma or point, thousands, currency before or after, minus signs and accounting brackets."""
    assert prompt("{{ price | number }}", text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "€",
        "3 for 20",
        "ca. 20",
        "SKU 12",
        "20 %",
        "12 34",
        "1.24.9",
        "1,2,3",
        "(-3)",
        "nan",
        "1_000",
        "--3",
        "3 cm",
    ],
)
def test_what_is_no_amount_is_an_error_of_its_row(text: str) -> None:
    """Never 0, which would buy or skip the row in silence."""
    error = refused("{{ price | number }}", text)
    assert "not an amount" in error.message
    assert error.facts == {"field": "prompt", "error_code": "bad_field"}


@pytest.mark.parametrize(("text", "point", "comma"), [("1.249", "1.249", "1249"), ("$1,249", "1249", "1.249")])
def test_two_readings_are_both_named(text: str, point: str, comma: str) -> None:
    """And how to say which is meant."""
    assert f"can be {point} or {comma}" in refused("{{ price | number }}", text).message
    assert prompt("{{ price | number(decimal='.') }} {{ price | number(',') }}", text) == f"{point} {comma}"


def test_another_decimal_sign_than_stated_is_an_error() -> None:
    """A cell that contradicts the template is not read against its own text."""
    assert "decimal sign" in refused("{{ price | number(',') }}", "19.90").message


class Rows:
    """Rows with a price and a weight, which count how often they are gone through."""

    def __init__(self, *rows: tuple[str, str]) -> None:
        self.rows = [
            dict(zip(("sku", "Price", "weight", "sizes"), ("p1", *row, ["2.718"]), strict=True)) for row in rows
        ]
        self.looks = 0
        self.marks = DecimalMarks(self._look, {}, Columns(["sku", "Price", "weight"]).column)

    def _look(self) -> Any:
        self.looks += 1
        return iter(self.rows)

    def render(self, template: str, row: int = 0) -> str:
        """A row's prompt."""
        cells = self.rows[row]
        context = Columns(["sku", "Price", "weight"]).context(
            [str(cells[each]) for each in ("sku", "Price", "weight")], {"sizes": cells["sizes"]}
        )
        context[MARKS] = self.marks
        return render_job(make_shot({"name": "hero", "prompt": template}, "test"), "p1", context).prompt


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ("19,90", "1249"),
        ("2.500.000", "1249"),
        ("1.000,00", "1249"),
        ("19.90", "1.249"),
        ("2,500,000", "1.249"),
        ("0.500", "1.249"),
    ],
)
@pytest.mark.parametrize(
    "expression",
    [
        "price",
        "row['Price']",
        "row.Price",
        "price | trim",
        "price.strip()",
        "price | default('0')",
        "' ' ~ price",
        "[price] | first",
    ],
)
def test_the_column_settles_what_one_cell_does_not(other: str, value: str, expression: str) -> None:
    """Wherever in the file the cell that proves it stands, and however the template reaches the column."""
    for rows in (Rows(("1.249", "9"), (other, "9")), Rows((other, "9"), ("1.249", "9"))):
        at = [row["Price"] for row in rows.rows].index("1.249")
        assert rows.render(f"{{{{ ({expression}) | number }}}}", at) == value


def test_a_column_is_looked_over_once_and_only_where_it_has_to_be() -> None:
    """What reads in one way needs no look; the second look would find the same."""
    rows = Rows(("1.249", "9"), ("19,90", "9"))
    assert rows.render("{{ price | number }}", 1) == "19.90"
    assert rows.looks == 0
    assert [rows.render("{{ price | number }}") for _ in range(3)] == ["1249"] * 3
    assert rows.looks == 1


@pytest.mark.parametrize(
    ("rows", "template"),
    [
        ([("1.249", "9"), ("1.500", "9")], "{{ price | number }}"),
        ([("1.249", "9"), ("19.90", "9"), ("19,90", "9")], "{{ price | number }}"),
        ([("1.249", "0.5"), ("1.500", "0.7")], "{{ price | number }}"),
        ([("1.249", "1.249"), ("19,90", "0.5")], "{% for p in [price] %}{{ p | number }}{% endfor %}"),
        ([("1.249", "9"), ("19,90", "9")], "{{ sizes | map('number') | first }}"),
    ],
)
def test_nothing_else_settles_it(rows: list[tuple[str, str]], template: str) -> None:
    """Neither a column without proof or with both signs, nor another column."""
    with pytest.raises(RowError, match=r"can be [12]\.\d+ or \d+,"):
        Rows(*rows).render(template)


@pytest.mark.parametrize(
    ("condition", "cell", "is_so"),
    [
        ("price | number == 19.9", "19,90", True),
        ("price | number == 0.1 + 0.2", "0.30", False),
        ("(price | number) * 3 == 0.3", "0.1", True),
        ("price | number * 1.1 == 1.21", "1,1", True),
        ("-(price | number) == -0.1", "0.1", True),
        ("price | number > 20", "1.249,00", True),
        ("20 < price | number", "7900.00 SEK", True),
        ("price | number in [19.9]", "19.90", True),
        ("[price, '0.2'] | map('number') | sum == 0.3", "0.1", True),
        ("price | number | round(1) == 0.3", "0.26", True),
        ("price | default(0) | number == 0", "", True),
    ],
)
def test_numbers_are_exact(condition: str, cell: str, is_so: bool) -> None:
    """Compared with what is written, not with the nearest float."""
    assert wanted(condition, cell) is is_so


@pytest.mark.parametrize("name", ["float", "int", "number", "round", "abs", "filesizeformat"])
@pytest.mark.parametrize("cell", ["7900.00 SEK", "€ 49", "", "about", "nan", "inf", "1_000"])
def test_no_filter_makes_a_number_of_what_it_cannot_read(name: str, cell: str) -> None:
    """0 instead of the price skips every row without a word."""
    if (name, cell) in {("number", "7900.00 SEK"), ("number", "€ 49")}:
        assert wanted(f"price | {name} > 20", cell)
        return
    with pytest.raises(RowError) as caught:
        wanted(f"price | {name} > 20", cell)
    assert caught.value.facts["field"] == "when"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '19.90' | float }} {{ '12.7' | int }} {{ ' 5 ' | int }} {{ 2.5 | int }}", "19.9 12 5 2"),
        ("{{ 'x' | int(7) }} {{ 'x' | float(0.0) }} {{ 'ff' | int(0, 16) }}", "7 0.0 255"),
        ("{{ '1e+20' | number }} {{ 1e-5 | number }} {{ [price | number] }}", "100000000000000000000 0.00001 [19.90]"),
    ],
)
def test_what_they_can_read_they_read_as_before(template: str, text: str) -> None:
    """A default that the template itself names is its own word."""
    assert prompt(template) == text


def test_a_number_is_a_decimal() -> None:
    """It hashes and sorts as one."""
    assert {Number("1.0")} == {Decimal(1)}
    assert sorted([Number("1.5"), 1, Number("1.2")]) == [1, Number("1.2"), Number("1.5")]
    amount = read_amount("1.249")
    assert amount is not None
    assert amount.mark is None


@pytest.mark.parametrize(
    ("condition", "cell"),
    [
        ("price > '9'", "10"),
        ("'9' < price", "10"),
        ("price <= '9'", "10"),
        ("price >= '100'", "20"),
        ("price > '200'", "1.249"),  # less as text, more as 1249
        ("price != 0", "0"),
        ("price == 20", "20.00"),
        ("20 == price", "20"),
        ("price in [0, 5]", "5"),
        ("price not in [0, 5]", "0"),
        ("price | number == '19.90'", "19.90"),
        ("price | default(0) == 0", "0"),
    ],
)
def test_texts_of_numbers_are_not_compared_as_texts(condition: str, cell: str) -> None:
    """Where that decides otherwise than the numbers do, the row is invalid: nothing is skipped, or bought, in silence."""
    with pytest.raises(RowError, match="put `number` behind"):
        wanted(condition, cell)


@pytest.mark.parametrize(
    ("condition", "cell", "is_so"),
    [
        ("price > '9'", "95", True),  # both ways
        ("price == '20'", "20", True),
        ("price == 20", "30", False),
        ("price != 0", "5", True),
        ("price | default(0) == 0", "", True),
        ("price > '2026-01-02'", "2026-01-10", True),
        ("price < 'B'", "A10", True),
        ("price in ['0', '5']", "5", True),
        ("price in '0,5'", "5", True),
        ("1 < price | number < 9", "5", True),
        ("price | int == 5", "5", True),
        ("'Price' in row", "5", True),
        ("price in ['x'] | map('upper')", "X", True),
    ],
)
def test_what_both_say_alike_is_compared_as_ever(condition: str, cell: str, is_so: bool) -> None:
    """Dates, codes, words, numbers, and texts that differ in no way from their numbers."""
    assert wanted(condition, cell) is is_so


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ price[0] }}", "https://a/1.jpg"),
        ("{{ price[-1] }}", "https://a/2,b.jpg"),
        ("{{ price[1:] | join }}", "https://a/2,b.jpg"),
        ("{{ price | first }}", "https://a/1.jpg"),
        ("{{ price | join(' ') }}", "https://a/1.jpg https://a/2,b.jpg"),
        ("{{ price | length }}", "2"),
        ("{% for each in price %}({{ each }}){% endfor %}", "(https://a/1.jpg)(https://a/2,b.jpg)"),
        ("{{ price }}", '["https://a/1.jpg", "https://a/2,b.jpg"]'),
        ("{{ price | replace('https://a/', '') }}", '["1.jpg", "2,b.jpg"]'),
    ],
)
def test_a_cell_that_is_a_json_list_has_items(template: str, text: str) -> None:
    """Lists of Parquet and JSON are such text: nothing goes through their brackets and quotes letter by letter."""
    assert prompt(template, '["https://a/1.jpg", "https://a/2,b.jpg"]') == text


@pytest.mark.parametrize("cell", ["[new] Mug", "[x]", "[1, 2", "Mug"])
def test_other_text_has_letters(cell: str) -> None:
    """Brackets alone make no list."""
    assert prompt("{{ price[0] }}{{ price | first }}{{ price[:2] }}", cell) == cell[0] * 2 + cell[:2]
