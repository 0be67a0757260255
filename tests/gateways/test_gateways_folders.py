"""What is known of a gateway stands in its folder and nowhere else."""

import re
from pathlib import Path

import pytest
from on_offer import DIALECTS, GATEWAYS

from seedream_tasks.core.market import Market, market
from seedream_tasks.core.outcomes import ErrorClass
from seedream_tasks.gateways.reading import read_error
from seedream_tasks.sandbox.stand_ins import stand_ins

PACKAGE = Path(__file__).parents[2] / "seedream_tasks"
# Sellers of whom only a gateway's folder speaks, beside the gateways themselves.
BEHIND_THEM = ("APIMart", "KIE", "doubao", "seedance")
# A model's name outside a gateway's folder: the default of a shot that names none, and code that people copy.
MODEL_NAMES = {"core/market.py": 1, "orchestration/blocks.py": 2}


def elsewhere(gateway: str | None) -> list[Path]:
    """Every text file of the package that is not in this gateway's folder; None: in no gateway's."""
    folders = [PACKAGE / "gateways" / each for each in GATEWAYS if gateway in (None, each)]
    return [
        path
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in (".py", ".html", ".js", ".css", ".yaml", ".mako", ".typed")
        and not any(path.is_relative_to(each) for each in folders)
    ]


def named(word: str) -> "re.Pattern[str]":
    """A name as text or as an identifier, whole, in any case; a long one also within another word."""
    text = re.escape(word)
    return re.compile(text if len(word) > 4 else rf"(?<![A-Za-z]){text}(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_no_gateways_name_stands_outside_its_folder(gateway: str) -> None:
    """Neither in code nor in comments, messages or help: a gateway is added, changed or taken away in one place."""
    words = [named(word) for word in (gateway, market().title(gateway))]
    found = [path for path in elsewhere(gateway) if any(word.search(path.read_text("utf-8")) for word in words)]
    # Gateways may speak of one another where one resells the other.
    assert found == []


@pytest.mark.parametrize("name", BEHIND_THEM)
def test_whoever_stands_behind_a_gateway_is_named_in_a_folder_only(name: str) -> None:
    """Upstream sellers and their spellings of models are facts about a gateway."""
    assert [path for path in elsewhere(None) if named(name).search(path.read_text("utf-8"))] == []


def test_no_rule_is_made_for_a_model() -> None:
    """A new model of a known gateway is rows in its offers: nothing else names a model but the default and examples."""
    spelling = re.compile(r"seedream[-_. ]?\d", re.IGNORECASE)
    found = {
        str(path.relative_to(PACKAGE)): len(hits)
        for path in elsewhere(None)
        if (hits := spelling.findall(path.read_text("utf-8")))
    }
    assert found == MODEL_NAMES


def test_a_folder_is_all_there_is_to_a_gateway() -> None:
    """Offers, dialect and stand-in are found by their place, in one order everywhere."""
    assert GATEWAYS == ("evolink", "gccai", "getimg", "apiin")
    assert tuple(stand_ins()) == GATEWAYS
    assert {name: spoken.name for name, spoken in DIALECTS.items()} == {name: name for name in GATEWAYS}
    assert not market().broken


def test_a_gateways_own_word_counts_before_that_of_another() -> None:
    """Two gateways may mean two things by one word; a word that only another documents is read as that one means it."""
    word = "content_policy_violation"
    assert read_error({"error": {"code": word}}, None, {}).kind is ErrorClass.CONTENT
    assert read_error({"error": {"code": word}}, None, {word: ErrorClass.TRANSIENT}).kind is ErrorClass.TRANSIENT


def test_where_gateways_disagree_about_a_word_the_first_counts() -> None:
    """What is advised about a record of which only the code is left does not depend on chance."""
    first, second = market().offers[:2]
    assert Market((first, second)).error_codes["rate_limit_error"] is first.error_codes["rate_limit_error"]
