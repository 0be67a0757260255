"""What a person sees in Prefect's two UIs, in a real browser: the pages of a finished run, its artifacts as they are drawn."""

import json
import os
from pathlib import Path

import pytest
from chromium import Page
from prefect_ui import Shown

# The first UI at /, the second at /v2; what differs between them is where a page is, not what it shows.
UIS = {"V1": "", "V2": "/v2"}
_CLICK = """word => {
  const tab = [...document.querySelectorAll('button, a, li, [role=tab]')].find(each => each.innerText.trim() === word);
  tab.dispatchEvent(new MouseEvent('mousedown', {bubbles: true}));
  tab.click();
}"""


def _shows(page: Page, url: str, *words: str) -> None:
    page.open(url)
    _wait_for(page, *words)


def _wait_for(page: Page, *words: str) -> None:
    for word in words:
        page.until(f"document.body && document.body.innerText.replace(/\\s+/g, ' ').includes({json.dumps(word)})")


def _keep(page: Page, name: str) -> None:
    """A screenshot to look at, where TEST_SCREENSHOTS names a folder."""
    folder = os.environ.get("TEST_SCREENSHOTS")
    if folder:
        page.screenshot(Path(folder, f"{name}.png"))


@pytest.mark.parametrize("ui", UIS)
def test_the_flow_run_page_says_what_was_bought_and_for_how_much(shown: Shown, page: Page, ui: str) -> None:
    """Named by catalog and day; the log says what to do; rows are task runs by key and shot, with their status."""
    url = f"{shown.url}{UIS[ui]}/runs/flow-run/{shown.run_id}"
    _shows(page, url, "spring-catalog.csv: ", "Incomplete", "11 Task runs", "$0.031 at risk", "Change the prompt")
    _keep(page, f"{ui}-run")
    page.js(f"({_CLICK})('Task Runs')")
    _wait_for(page, "mug-0 image", "Archived", "kettle image", "Unknown")
    _keep(page, f"{ui}-task-runs")


@pytest.mark.parametrize("ui", UIS)
def test_every_artifact_of_a_run_is_drawn(shown: Shown, page: Page, ui: str) -> None:
    """Forecast, progress, result, failures, unknown payments, thumbnails and the manifest's place, each on its page."""
    words = {
        "seedream-forecast": ("Forecast: $", "evolink", "balance"),
        "seedream-progress": ("100",),
        "seedream-failures": ("knife image", "Change the prompt", "raise the cap", "what to do"),
        "seedream-unknown": ("1 payment of unknown fate", "kettle", "seedream resolve"),
        "seedream-contact-sheet": ("mug-0", "images"),
        "seedream-manifest": ("manifest.parquet",),
        "seedream-result": ("images bought, $", "Spend by gateway", "deferred $0.465", "manifest.parquet"),
    }
    artifacts = shown.artifacts()
    assert words.keys() == artifacts.keys()
    for key, expected in words.items():
        _shows(page, f"{shown.url}{UIS[ui]}/artifacts/artifact/{artifacts[key]}", *expected)
        _keep(page, f"{ui}-{key}")
    # The last one's chart is an image, out of the page itself.
    page.until(
        "[...document.images].some(i => i.src.startsWith('data:image/svg') && i.complete && i.naturalWidth > 300)"
    )


@pytest.mark.parametrize("ui", UIS)
def test_the_form_of_a_block_asks_for_what_an_account_is(shown: Shown, page: Page, ui: str) -> None:
    """A gateway's block is filled in on a page; the key's field does not show what is typed, in the newer UI."""
    _shows(page, f"{shown.url}{UIS[ui]}/blocks/catalog/seedream-gateway/create", "API key", "Base URL", "Prices")
    _keep(page, f"{ui}-block")
