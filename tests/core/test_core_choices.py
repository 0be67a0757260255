"""Choices: what is kept for the next job is what would be decided for it anew."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from on_offer import BY_OFFER, GATEWAYS, MODELS, SEEDREAM_45

from seedream_tasks.core.choices import Choices
from seedream_tasks.core.jobs import Job, Reference
from seedream_tasks.core.preflight import obstacles
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.core.pricing import quote
from seedream_tasks.core.routing import Offer, Route, route

CAPABILITIES = {
    name: {model: BY_OFFER[name, model] for model in MODELS if (name, model) in BY_OFFER} for name in GATEWAYS
}
PRICES = PriceBook.for_run(simulated=True)
PHOTO = Reference("https://shop.example/lamp.jpg", "0" * 64, "JPEG", 1000, 800, 300_000)

BASE = Job("p1", "hero", SEEDREAM_45, "generate", "A lamp")
# Around the limits: 2000 at EvoLink, 3000 at API in One, 4096 at getimg; and with the hint for several images.
LENGTHS = (0, 1, 1970, 1971, 1972, 2000, 2001, 2971, 2972, 3000, 3001, 4096, 4097)
# Jobs that each differ from the first in one thing: what is kept of one must not serve another by mistake.
CHANGES: dict[str, list[dict[str, Any]]] = {
    "nothing": [{}],
    "model": [{"model": model} for model in MODELS],
    "ratio": [{"ratio": ratio} for ratio in ("auto", "9:21", "20:1")],
    "tier": [{"tier": tier} for tier in ("1K", "4K")],
    "pixels": [{"ratio": None, "tier": None, "pixels": pixels} for pixels in ("1024x1024", "2560x1440", "4096x4097")],
    "n": [{"n": n} for n in (2, 15)],
    "speed": [{"speed": "fast"}],
    "watermark": [{"watermark": True}],
    "output_format": [{"output_format": "png"}],
    "gateways": [{"gateways": names} for names in (("evolink",), ("getimg", "gccai"))],
    "gateway_options": [
        {"n": 2, "gateway_options": given}
        for given in (
            {"evolink": {"prompt_hint": False}},
            {"evolink": {"unheard_of": 1}},
            {"gccai": {"max_images": 2}},
            {"gccai": {"sequential_image_generation": "disabled"}},
        )
    ],
    "references": [{"references": given} for given in ((PHOTO,), (PHOTO,) * 15, (replace(PHOTO, public=False),))],
}
ALIKE = [
    BASE.having(prompt="x" * length, **change)
    for length in LENGTHS
    for several in CHANGES.values()
    for change in several
]


def decided(job: Job, max_premium: Decimal | None) -> tuple[dict[str, Any], Route | None]:
    """What the rules say of one job alone."""
    rows = {name: models[job.model] for name, models in CAPABILITIES.items() if job.model in models}
    against = {name: obstacles(job, row) for name, row in rows.items()}
    offers = [Offer(rows[name], PRICES.row(name, job.model, job.tier)) for name in rows if not against[name]]
    found = route(offers, (), max_premium) if offers else None
    return against, found if isinstance(found, Route) else None


@pytest.mark.parametrize("max_premium", [None, Decimal(0), Decimal("0.4")])
@pytest.mark.parametrize("jobs", [ALIKE, ALIKE[::-1]], ids=["shortest prompt first", "longest first"])
def test_a_kept_choice_is_what_would_be_decided_anew(jobs: list[Job], max_premium: Decimal | None) -> None:
    """Whatever jobs came before, a job's obstacles, route and quote are those of the job alone."""
    choices = Choices(CAPABILITIES, PRICES, max_premium)
    for job in jobs:
        choice = choices.of(job)
        against, found = decided(job, max_premium)
        assert (choice.against, choice.route) == (against, found)
        assert choice.able == any(not each for each in against.values())
        assert choice.quote(job.n) == (quote(found.price, job.n) if found else None)


def test_one_prompt_too_long_leaves_the_others_alone() -> None:
    """A kind's choice is kept of a prompt that fits; a longer one is decided by itself, before and after it."""
    choices = Choices({"evolink": CAPABILITIES["evolink"]}, PRICES, None)
    fits = Job("p1", "hero", SEEDREAM_45, "generate", "x" * 2000)
    long = replace(fits, prompt="x" * 2001)
    assert [choices.of(job).able for job in (long, fits, long, fits)] == [False, True, False, True]
    (obstacle,) = choices.of(long).against["evolink"]
    assert obstacle.limit == "prompt_length"
    assert "2001" in obstacle.message
