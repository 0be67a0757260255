"""The page about shops' exports: each of its commands works as it stands, on the sample that it names."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import seedream
from on_offer import GATEWAYS
from PIL import Image

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.shots import parse_shots
from seedream_tasks.planning.freeze import documented
from seedream_tasks.planning.planner import Planner
from seedream_tasks.references.reader import References

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "from-my-shop.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^seedream (plan .*)$", PAGE, re.MULTILINE)
# What each sample holds: products to buy, and those that are not for sale.
HOLDS = {
    "shopify": {"planned": 2, "skipped": 1},
    "woocommerce": {"planned": 8},
    "merchant": {"planned": 6},
    "amazon": {"planned": 4},
    "magento": {"planned": 2, "skipped": 1},
    "prestashop": {"planned": 2, "skipped": 1},
    "wix": {"planned": 2, "skipped": 1},
    "squarespace": {"planned": 2, "skipped": 1},
    "bigcommerce": {"planned": 2, "skipped": 1},
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: re.sub(r".*--preset (\w+).*", r"\1", command))
def test_each_command_of_the_page_works(command: str, tmp_path: Path) -> None:
    """Every product is planned with its photo found; what is not for sale is left out."""
    ended = seedream(*shlex.split(command), "--archive", str(tmp_path), "--sandbox", "--json", cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    preset = re.sub(r".*--preset (\w+).*", r"\1", command)
    assert (answer["by_status"], answer["unchecked_references"]) == (HOLDS[preset], 0)


def test_the_page_has_a_command_for_each_shop() -> None:
    """Of those that have a sample."""
    assert [re.sub(r".*--preset (\w+).*", r"\1", command) for command in COMMANDS] == list(HOLDS)


SNIPPETS = [
    line.split(" | ", 1)[1].strip(" |`").replace("\\|", "|")
    for line in PAGE.partition("## What shots often need")[2].splitlines()
    if line.count("`") >= 2 and line.startswith("| ")
]
TABLE = (
    "ID,Type,SKU,Name,Published,Description,Regular price,Categories,Tags,Images,Parent,"
    "Attribute 1 name,Attribute 1 value(s),Photos\n"
    'A,variable,A,Mug,1,<p>Clay</p>,"1.249,00 €",Home > Mugs,"new, sale","a.jpg, b.jpg, c.jpg",,Glaze,"Blue, Red",a.jpg;b.jpg\n'
    'B,variation,B,Mug blue,1,,"19,90",,,,A,Glaze,Blue,\n'
    "C,simple,C,Bowl,1,,,Bowls,,,,,,c.jpg\n"
)
# What each is for the three products: the prompt, the references, or whether it is wanted.
MEANS: dict[str, list[object]] = {
    "striptags": ["Mug: Clay", "Mug blue: Clay", "Bowl:"],
    "number > 20": [True, False, False],
    "image_urls[:2]": [["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"], []],
    "{{ image_urls }}": [["a.jpg", "b.jpg", "c.jpg"], ["a.jpg", "b.jpg", "c.jpg"], []],
    "row['Photos']": [["a.jpg", "b.jpg"], [], ["c.jpg"]],
    "category.split": ["Mugs", "Mugs", "Bowls"],
    '"image_url"': [True, True, False],
    "'variation'": [True, False, True],
    "options.Glaze": ["Blue", None, None],
    "'new' in tags": [True, True, False],
}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_each_line_for_a_shot_does_what_the_page_says(snippet: str, tmp_path: Path) -> None:
    """On a WooCommerce export with a variable product, its variation and one without an image."""
    path = tmp_path / "a.csv"
    path.write_text(TABLE, encoding="utf-8")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (600, 600)).save(tmp_path / name)
    field = snippet.partition(":")[0]
    shots = "shots:\n  - name: hero\n" + ("" if field == "prompt" else "    prompt: x\n") + f"    {snippet}\n"
    records = planned(path, shots)
    found: list[object] = [
        record.reason != "condition_false"
        if field == "when"
        else (record.job.prompt if record.job else None)
        if field == "prompt"
        else [reference.uri for reference in record.job.references]
        for record in records
    ]
    (means,) = [right for words, right in MEANS.items() if words in snippet]
    assert found == means


def planned(path: Path, shots: str) -> list[Any]:
    """The records of a forecast."""
    references = References(str(path))
    try:
        options = RunOptions(str(path), preset="woocommerce")
        prices = PriceBook.for_run(simulated=True)
        table, wanted = open_table(str(path)), parse_shots(shots)
        planner = Planner(table, options, wanted, references, documented(GATEWAYS), prices, None, fetch=False)
        return [each.record for each in planner.plan()]
    finally:
        references.close()


def test_every_line_is_tried() -> None:
    """None is left out, and none is tried that the page does not have."""
    assert len(SNIPPETS) == len(MEANS)
