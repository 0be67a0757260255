"""A job as people write it: every field is checked when it is made, and what is wrong is named with its limit."""

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from seedream_tasks import InputError, Job, Reference
from seedream_tasks.core.errors import RowError
from seedream_tasks.core.output_profiles import OutputProfile
from seedream_tasks.core.shots import make_shot

MUG: dict[str, Any] = {
    "row_key": "mug",
    "shot": "hero",
    "model": "seedream-4.5",
    "operation": "generate",
    "prompt": "A mug",
}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("operation", "paint", "generate, edit"),
        ("operation", "edit", "at least one"),
        ("operation", None, "expected text"),
        ("model", "seedream-9", "seedream-4.5"),
        ("n", 40, "1 to 15"),
        ("n", 0, "1 to 15"),
        ("n", True, "whole number"),
        ("n", 2.5, "whole number"),
        ("n", None, "whole number"),
        ("ratio", "9:99", r"9:99 is not among .*page"),
        ("ratio", "wide", "ratio such as"),
        ("ratio", None, "say the size"),
        ("ratio", (1, 1), "expected text"),
        ("tier", "8K", "1K, 2K, 4K"),
        ("tier", ["2K"], "expected text"),
        ("pixels", "10x10", "outside .*page"),
        ("pixels", "big", "2048x2048"),
        ("prompt", "", "empty"),
        ("prompt", " \n\u00a0", "empty"),
        ("prompt", 5, "expected text"),
        ("prompt", "half \ud83d", "half a character"),
        ("prompt", "NUL \0", "NUL"),
        ("prompt", "A <Mug object at 0x7f3a5c0e1b30>", "address in memory"),
        ("row_key", " ", "empty"),
        ("row_key", 7, "expected text"),
        ("shot", "Hero!", "a-z, 0-9"),
        ("references", "photo.jpg", "list"),
        ("references", [5], "link, a path, bytes"),
        ("references", [""], "empty"),
        ("references", [b""], "no bytes"),
        ("references", ["a.jpg"] * 40, "40 references, at most"),
        ("gateways", ["evolinc"], "known: evolink"),
        ("gateways", 5, "list"),
        ("gateway_options", {"evolink": {"colour": 1}}, "no option"),
        ("speed", "slow", "standard, fast"),
        ("watermark", "perhaps", "true nor false"),
        ("output_format", "gif", "jpeg, png, webp"),
        ("output", {"format": "gif"}, "format is one of"),
        ("slots", (3,), "below n"),
        ("slots", (-1,), "slot numbers"),
    ],
)
def test_a_wrong_field_is_named_with_its_limit(field: str, value: Any, says: str) -> None:
    """Before anything is asked of a gateway."""
    with pytest.raises(InputError, match=says) as caught:
        Job(**{**MUG, field: value})
    assert caught.value.facts["field"] in (field, "references" if value == "edit" else field)
    assert not isinstance(caught.value, RowError)


def test_a_prompt_that_no_chosen_gateway_takes_is_refused() -> None:
    """Each limit is named with its source."""
    with pytest.raises(InputError, match=r"prompt: evolink: the prompt has 2001 characters, at most 2000 \(.*page"):
        Job(**{**MUG, "prompt": "x" * 2001, "gateways": ["evolink"]})


def test_pixels_stand_instead_of_ratio_and_tier() -> None:
    """A job has one size, and asking for two is a mistake."""
    job = Job(**MUG, pixels="2048x2048")
    assert (job.pixels, job.ratio, job.tier) == ("2048x2048", None, None)
    with pytest.raises(InputError, match="instead of"):
        Job(**MUG, pixels="2048x2048", tier="4K")


def test_references_may_be_links_paths_and_bytes() -> None:
    """They are one kind of value then."""
    given = ["https://shop.example/a.jpg", Path("photos/b.jpg"), b"content", Reference("c.jpg", "0" * 64)]
    job = Job(**{**MUG, "operation": "edit"}, references=given)  # type: ignore[arg-type]
    assert [each.uri for each in job.references] == [
        "https://shop.example/a.jpg",
        "photos/b.jpg",
        "data:application/octet-stream;base64,Y29udGVudA==",
        "c.jpg",
    ]
    assert [each.sha256 for each in job.references] == [None, None, None, "0" * 64]


def test_what_is_right_is_kept_in_one_form() -> None:
    """However it is written, it is the same job, with the same fingerprint."""
    written = Job(
        **{**MUG, "prompt": "  A\n mug "},
        n="2",
        watermark="no",
        gateways=["evolink"],
        edition="",
        output={"format": "webp"},
    )  # type: ignore[arg-type]
    plain = Job(**MUG, n=2, gateways=("evolink",), output=OutputProfile("webp"))
    assert written == plain
    assert written.fingerprint == plain.fingerprint == Job.made(**MUG, n=2).fingerprint


def test_a_job_is_checked_once() -> None:
    """What was checked is read back, copied and sent to other processes as it is."""
    job = Job(**MUG)
    assert Job.from_json(job.as_json()) == job == pickle.loads(pickle.dumps(job))  # noqa: S301 - our own bytes
    assert job.having(n=99).n == 99
    assert Job.made(**MUG) == job


SHOT = {"name": "hero", "prompt": "A {{ title }} for {{ price | number }}", "when": "price | number > 1"}


@pytest.mark.parametrize("shot", [SHOT, make_shot(SHOT, "test")])
def test_a_job_of_a_row_is_the_catalogs(shot: Any) -> None:
    """Cells become text as a catalog's do; the first of sku, id and handle is the key."""
    job = Job.from_row({"Title": "Mug", "SKU": 1001, "Price": Decimal("2.50"), "note": None}, shot)
    assert (job.row_key, job.shot, job.prompt) == ("1001", "hero", "A Mug for 2.50")
    assert Job.from_row({"name": "m", "title": "Mug", "price": 2.5}, shot, key="name").row_key == "m"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"title": "Mug", "price": "2"}, "key"),
        ({"sku": "", "title": "Mug", "price": "2"}, "key"),
        ({"sku": "a", "title": "Mug", "price": "0"}, "when"),
        ({"sku": "a", "title": "Mug", "price": "?"}, "when"),
        ({"sku": "a", "price": "2"}, "prompt"),
    ],
)
def test_a_row_that_makes_no_job_says_why(row: dict[str, Any], field: str) -> None:
    """The field is named."""
    with pytest.raises(InputError) as caught:
        Job.from_row(row, SHOT)
    assert caught.value.facts["field"] == field
