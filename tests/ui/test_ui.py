"""What a person sees in Prefect's two UIs, in a real browser: the pages of a finished run, its artifacts as they are drawn."""

import json
import os
import re
from pathlib import Path

import pytest
from chromium import Page
from conftest import Shown

# The first UI at /, the second at /v2; what differs between them is where a page is, not what it shows.
UIS = {"V1": "", "V2": "/v2"}


def _text(page: Page) -> str:
    return re.sub(r"\s+", " ", str(page.js("document.body ? document.body.innerText : ''")))


def _shows(page: Page, url: str, *words: str) -> None:
    page.open(url)
    for word in words:
        page.until(f"document.body && document.body.innerText.replace(/\\s+/g, ' ').includes({json.dumps(word)})")


def _keep(page: Page, name: str) -> None:
    """A screenshot to look at, where SEEDREAM_SCREENSHOTS names a folder."""
    folder = os.environ.get("TEST_SCREENSHOTS")
    if folder:
        page.screenshot(Path(folder, f"{name}.png"))


@pytest.mark.parametrize("ui", UIS)
def test_the_flow_run_page_says_what_was_bought_and_for_how_much(shown: Shown, page: Page, ui: str) -> None:
    """Named by catalog and day; its state's message counts records and dollars; rows are task runs by key and shot."""
    _shows(
        page, f"{shown.url}{UIS[ui]}/runs/flow-run/{shown.run_id}", "spring-catalog.csv 20", "Incomplete", "mug-0 image"
    )
    _keep(page, f"{ui}-run")


@pytest.mark.parametrize("ui", UIS)
def test_every_artifact_of_a_run_is_drawn(shown: Shown, page: Page, ui: str) -> None:
    """Forecast, progress, result, failures, unknown payments and the manifest's place, each on its page."""
    words = {
        "seedream-forecast": ("Forecast: $", "evolink", "balance"),
        "seedream-progress": ("100",),
        "seedream-result": ("pictures, $", "Spend by gateway", "at risk", "manifest.parquet"),
        "seedream-failures": ("knife", "Change the prompt", "raise the cap", "what to do"),
        "seedream-unknown": ("payments of unknown fate", "kettle", "seedream resolve"),
        "seedream-manifest": ("manifest.parquet",),
    }
    artifacts = shown.artifacts()
    assert words.keys() <= artifacts.keys()
    for key, expected in words.items():
        _shows(page, f"{shown.url}{UIS[ui]}/artifacts/artifact/{artifacts[key]}", *expected)
        _keep(page, f"{ui}-{key}")


@pytest.mark.parametrize("ui", UIS)
def test_the_spend_chart_is_a_picture_on_the_page(shown: Shown, page: Page, ui: str) -> None:
    """The SVG is drawn at its own size, from the page itself: nothing is fetched from elsewhere."""
    page.requests.clear()
    _shows(page, f"{shown.url}{UIS[ui]}/artifacts/artifact/{shown.artifacts()['seedream-result']}", "Spend by gateway")
    page.until(
        "[...document.images].some(i => i.src.startsWith('data:image/svg') && i.naturalWidth > 300 && i.complete)"
    )
    assert [each for each in page.requests if not each.startswith((shown.url, "data:", "blob:"))] == []
