"""Jobs and their fingerprints: the name under which an image was paid for."""

import hashlib
import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedream_tasks.core.jobs import (
    Job,
    JobName,
    Reference,
    canonical_json,
    job_key,
    tidy_prompt,
)

PLAIN = Job("p1", "hero", "seedream-4.5", "generate", "Studio photograph of a desk lamp")
FRONT = Reference("https://shop.example/front.jpg", "1" * 64, "JPEG", 1000, 800, 300_000)
BACK = Reference("images/back.png", "2" * 64, "PNG", 640, 640, 90_000)
EDIT = replace(PLAIN, operation="edit", prompt="On a wooden table", references=(FRONT, BACK))

GOLDEN = {
    "defaults": (PLAIN, "f321aa1135a3a9b7f5c220b8cc8d07bd9d7f32d436e974bd259f59e0fa0d62ff"),
    "edition": (replace(PLAIN, edition="spring"), "4d1725db6d3f60e8bd12a1251aca9cba2a214bfd1cb8ad3d59b677119154b206"),
    "references": (EDIT, "a377127a49dcbc56af715afa60edc9941a5819b23536a95c29efada978db7f52"),
    "pixels": (
        replace(PLAIN, ratio=None, tier=None, pixels="2560x1440"),
        "2573ac27f44376b5b28ba1390122498d7fe00eaff9d1074b55d9527308d52d27",
    ),
    "options": (
        replace(
            EDIT,
            n=3,
            speed="fast",
            watermark=True,
            gateway_options={"gccai": {"sequential_image_generation": "auto", "max_images": 3}},
        ),
        "c321b8522ee211c983515287bd2e77e1a0ef0447681c390c6e844a28104d5321",
    ),
    "everything": (
        replace(
            EDIT,
            model="seedream-4.0",
            prompt="Größe 10 × 20 — 价格",
            ratio="21:9",
            tier="4K",
            edition="2026-w05",
            output_format="png",
        ),
        "561b6bd7a942c4e85a7862c6baa70b94e1904a8cfab10c7789314c73f314929a",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_fingerprints(name: str) -> None:
    """These never change: with other values every user would pay again for images they already have."""
    job, fingerprint = GOLDEN[name]
    assert job.fingerprint == fingerprint


def test_the_fingerprints_form() -> None:
    """sha256 over canonical JSON, tagged v1, with what decides the image and no defaults."""
    job = replace(EDIT, edition="spring")
    text = (
        '{"edition":"spring","form":"v1","model":"seedream-4.5","operation":"edit","prompt":"On a wooden table",'
        f'"references":["{"1" * 64}","{"2" * 64}"],"size":{{"ratio":"1:1","tier":"2K"}}}}'
    )
    assert canonical_json(job.decides()).decode() == text
    assert job.fingerprint == hashlib.sha256(text.encode()).hexdigest()


CHANGES: list[dict[str, Any]] = [
    {"model": "seedream-4.0"},
    {"operation": "generate"},
    {"prompt": "On a stone table"},
    {"ratio": "4:3"},
    {"tier": "4K"},
    {"ratio": None, "tier": None, "pixels": "2048x2048"},
    {"edition": "spring"},
    {"references": (FRONT,)},
    {"references": (BACK, FRONT)},
    {"references": (FRONT, replace(BACK, sha256="3" * 64))},
    {"speed": "fast"},
    {"watermark": True},
    {"output_format": "png"},
    {"gateway_options": {"gccai": {"sequential_image_generation": "auto"}}},
    {"gateway_options": {"gccai": {"max_images": 2}}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: ",".join(change))
def test_what_decides_the_image_changes_the_fingerprint(change: dict[str, Any]) -> None:
    """Another image is another job, to be bought."""
    assert replace(EDIT, **change).fingerprint != EDIT.fingerprint


SAME: list[dict[str, Any]] = [
    {"row_key": "p2"},
    {"shot": "lifestyle"},
    {"n": 7},
    {"top_up": True},
    {"gateways": ("getimg",)},
    {"edition": ""},
    {"references": (replace(FRONT, uri="https://cdn.example/moved.jpg?sig=1"), BACK)},
    {"references": (FRONT, replace(BACK, format=None, width=None, height=None, bytes=None))},
    {"gateway_options": {"evolink": {"size_form": "pixels"}}},
    {"gateway_options": {"evolink": {"prompt_hint": False}}},
    {"gateway_options": {"gccai": {"model_name": "doubao-seedream-4-5"}}},
    {"gateway_options": {"gccai": {"sequential_image_generation": "disabled"}}},
    {"gateway_options": {"gccai": {}}},
]


@pytest.mark.parametrize("change", SAME, ids=lambda change: ",".join(change))
def test_what_does_not_decide_the_image_keeps_the_fingerprint(change: dict[str, Any]) -> None:
    """How many, where, how it is asked for and where a reference lies never buy an image again."""
    assert replace(EDIT, **change).fingerprint == EDIT.fingerprint


def test_the_order_of_options_means_nothing() -> None:
    """Two ways of writing one mapping are one job."""
    options = {"sequential_image_generation": "auto", "max_images": 3}
    turned = dict(reversed(options.items()))
    jobs = [replace(EDIT, gateway_options={"gccai": each}) for each in (options, turned)]
    assert jobs[0].fingerprint == jobs[1].fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "Café table, 10 cm",
        "Cafe\u0301 table, 10 cm",
        "  Café\ttable,\r\n 10   cm\n",
        "Café\u00a0table,\u200910\u3000cm",
    ],
)
def test_prompts_are_compared_as_people_read_them(text: str) -> None:
    """NFC, and any run of white space is one blank."""
    assert tidy_prompt(text) == "Café table, 10 cm"


@given(st.text())
def test_a_tidy_prompt_is_stable(text: str) -> None:
    """Tidying twice changes nothing, and what is tidy is NFC without a double blank."""
    tidy = tidy_prompt(text)
    assert tidy_prompt(tidy) == tidy
    assert "  " not in tidy
    assert unicodedata.is_normalized("NFC", tidy)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JOBS = st.builds(
    Job.made,
    row_key=NAMES,
    shot=st.from_regex(r"\A[a-z0-9-]{1,40}\Z"),
    model=st.sampled_from(["seedream-4.5", "seedream-4.0"]),
    operation=st.sampled_from(["generate", "edit"]),
    prompt=NAMES,
    ratio=st.none() | st.sampled_from(["1:1", "21:9", "auto"]),
    tier=st.none() | st.sampled_from(["1K", "2K", "4K"]),
    pixels=st.none() | st.just("2048x1024"),
    n=st.integers(1, 15),
    references=st.lists(
        st.builds(
            Reference,
            uri=NAMES,
            sha256=st.none() | st.just("a" * 64),
            format=st.none() | st.just("JPEG"),
            width=st.none() | st.integers(1, 9999),
            height=st.none() | st.integers(1, 9999),
            bytes=st.none() | st.integers(1, 10**9),
        ),
        max_size=3,
    ).map(tuple),
    speed=st.sampled_from(["standard", "fast"]),
    watermark=st.booleans(),
    output_format=st.none() | st.sampled_from(["jpeg", "png", "webp"]),
    edition=st.none() | NAMES,
    top_up=st.booleans(),
    gateways=st.lists(st.sampled_from(["evolink", "getimg"]), unique=True).map(tuple),
    gateway_options=st.just({}) | st.just({"gccai": {"max_images": 3, "sequential_image_generation": "auto"}}),
)


@given(JOBS)
def test_a_job_survives_the_frozen_run(job: Job) -> None:
    """What is read back is the same job, with the same fingerprint: a resume buys nothing anew."""
    back = Job.from_json(job.as_json())
    assert back == job
    assert back.job_key == job.job_key


@given(JOBS)
def test_what_the_ledger_keeps_names_the_job(job: Job) -> None:
    """The ledger's JSON of a job gives back its name and the ratio its images are compared with."""
    kept = json.loads(canonical_json(job.decides()))
    assert JobName.from_ledger(job.row_key, job.shot, job.fingerprint, kept) == job.name


@given(NAMES, NAMES)
def test_job_keys_never_collide(one: str, other: str) -> None:
    """Row keys may hold slashes; shot and fingerprint stand at the end, so the key reads back from there."""
    shots = ("hero", "a-1")
    keys = {job_key(row, shot, PLAIN.fingerprint): (row, shot) for row in (one, other) for shot in shots}
    assert len(keys) == len({one, other}) * len(shots)
    assert all(tuple(key.rsplit("/", 2)[:2]) == name for key, name in keys.items())


def test_a_forecast_knows_a_reference_by_its_address() -> None:
    """Nothing is fetched for a plan: the address stands for bytes that nobody has seen, and is never taken for them."""
    unseen = replace(EDIT, references=(replace(FRONT, sha256=None), BACK))
    assert unseen.decides()["references"] == [FRONT.uri, "2" * 64]
    assert unseen.fingerprint != EDIT.fingerprint
