"""The contact sheet in a real browser: it loads, finds, sorts, opens, reviews and exports, from a file, without the network."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chromium import Page
from sheets import RUN, MadeUp, image

from seedream_tasks.ledger.reviews import Review, Verdict, record_reviews


def keys(page: Page) -> list[str]:
    """Row keys of the records that are shown, in their order."""
    found: list[str] = page.js("shown.map((record) => record.key)")
    return found


def choose(page: Page, control: str, value: str) -> None:
    """Pick an option of a select, as a user would."""
    page.js(
        f"(() => {{ const list = $({control!r}); list.value = {value!r}; list.dispatchEvent(new Event('change')); }})()"
    )


@pytest.fixture
def sheet(made_up: MadeUp, page: Page) -> MadeUp:
    """Six records of several kinds, open in the browser."""
    made_up.add("mug", "hero", image("teal"), cost_usd=Decimal("0.024"))
    made_up.add("mug", "lifestyle", image("navy"), image("maroon"), warnings=["ratio_off"])
    made_up.add("bowl", "hero", image("olive"), gateway="apiin", cost_usd=Decimal("0.5"))
    made_up.add("plate", "hero", error_code="content", error_message="the gateway refuses the words", gateway="gccai")
    made_up.add("lamp", "hero", status="deferred", reason="over_cap", gateway=None)
    made_up.add("card", "hero", status="skipped", reason="condition_false", gateway=None)
    address = made_up.write().as_uri()
    page.open(address)
    page.js("localStorage.clear()")
    page.open(address)
    return made_up


def test_it_shows_every_record_and_loads_nothing_but_images(sheet: MadeUp, page: Page) -> None:
    """All records are there with title, key, shot, gateway and cost; the page asks for nothing beyond itself."""
    assert keys(page) == ["mug", "mug", "bowl", "plate", "lamp", "card"]
    text = page.js("document.body.innerText")
    for word in (
        "goods.csv",
        "Simulated",
        "The bowl",
        "bowl · hero · apiin",
        "$0.50",
        "the gateway refuses the words",
        "over cap",
    ):
        assert word in text
    assert "sig=x" not in page.js("document.documentElement.outerHTML")
    assert page.js("[...document.querySelectorAll('#list img')].every((each) => each.src.startsWith('data:'))")
    page.until("[...document.querySelectorAll('#list img')].every((each) => each.complete && each.naturalWidth > 0)")
    assert [url for url in page.requests if not url.startswith("data:")] == [page.js("location.href")] * 2


def test_filters_and_search_narrow_what_is_shown(sheet: MadeUp, page: Page) -> None:
    """Status, shot, gateway, warning and words of title, key, prompt or error each narrow the list; all can be cleared."""
    page.click("[data-status='attention']")
    assert keys(page) == ["mug", "plate", "lamp"]
    page.click("[data-status='failed']")
    assert keys(page) == ["plate"]
    page.click("[data-status='']")
    choose(page, "shot", "lifestyle")
    assert keys(page) == ["mug"]
    choose(page, "shot", "")
    choose(page, "gateway", "apiin")
    assert keys(page) == ["bowl"]
    choose(page, "gateway", "")
    choose(page, "warning", "ratio_off")
    assert page.js("shown.map((record) => record.shot)") == ["lifestyle"]
    choose(page, "warning", "")
    page.press("/")
    page.type("REFUSES words")
    assert keys(page) == ["plate"]
    page.type(" nothing like it")
    assert keys(page) == []
    page.click("#clear")
    assert len(keys(page)) == 6


def test_it_sorts_by_cost_and_by_what_needs_attention(sheet: MadeUp, page: Page) -> None:
    """The dearest first; or failures before what only waits, and whole records last."""
    choose(page, "sort", "cost")
    assert keys(page)[:2] == ["bowl", "mug"]
    choose(page, "sort", "attention")
    assert keys(page) == ["plate", "lamp", "mug", "mug", "bowl", "card"]
    choose(page, "sort", "key")
    assert keys(page) == ["bowl", "card", "lamp", "mug", "mug", "plate"]


def test_enter_opens_the_full_image_from_the_archive(sheet: MadeUp, page: Page) -> None:
    """The file itself is shown, whatever characters its path holds; Escape goes back to the same card."""
    page.press("j")
    page.press("j")
    page.press("Enter")
    page.until("$('viewer').open && document.querySelector('#panes img').naturalWidth === 320")
    assert (
        page.js("document.querySelector('#panes img').getAttribute('src')") == "../../images/row%202%23/lifestyle-0.jpg"
    )
    page.press("Escape")
    page.until("!$('viewer').open")
    assert page.js("document.activeElement.getAttribute('aria-label')").startswith("The mug, lifestyle")


def test_a_review_by_keyboard_is_kept_and_exported(sheet: MadeUp, page: Page) -> None:
    """a, r and n say it, a reload keeps it, the export holds each image's verdict with note and amended prompt."""
    page.press("j")
    page.press("a")
    page.press("j")
    page.press("j")
    page.press("r")
    page.press("n")
    page.until("document.activeElement.id === 'note'")
    page.type("too <dark>")
    page.press("Escape")
    page.press("Enter")
    page.click("#amend")
    page.js("$('amend').select()")
    page.type("A brighter bowl")
    kept = page.js("JSON.stringify(review.records)")
    page.open(page.js("location.href"))
    # A document in another process may be a moment late to learn what this one kept; it is told, as another tab would be.
    page.until(f"JSON.stringify(review.records) === {json.dumps(kept)}")
    assert "2 of 3 reviewed" in page.js("document.body.innerText")
    page.press("e")
    file = page.downloads / f"review-{RUN}.json"
    page.wait(file.exists, "the export is there")
    given = json.loads(file.read_text())
    file.unlink()
    assert (given["format"], given["version"], given["run_id"]) == ("seedream-review", 1, RUN)
    said = ("row_key", "shot", "slot", "verdict", "note", "prompt")
    assert [tuple(each[name] for name in said) for each in given["reviews"]] == [
        ("mug", "hero", 0, "approved", None, None),
        ("bowl", "hero", 0, "rejected", "too <dark>", "A brighter bowl"),
    ]
    assert given["reviews"][0]["attempt_id"] == sheet.records[0]["images"][0]["attempt_id"]


def test_each_image_of_a_record_has_its_own_verdict(sheet: MadeUp, page: Page) -> None:
    """In the viewer a verdict is about the image on show; on the sheet it is about all images of the record."""
    page.press("j")
    page.press("j")
    page.press("Enter")
    page.click("#strip button:nth-child(2)")
    page.press("r")
    assert page.js("exported().reviews.map((each) => [each.slot, each.verdict])") == [[1, "rejected"]]
    page.press("Escape")
    page.press("a")
    assert page.js("exported().reviews.map((each) => [each.slot, each.verdict])") == [[0, "approved"], [1, "approved"]]
    page.press("u")
    assert page.js("exported().reviews") == []


def test_what_the_ledger_knows_is_shown_in_the_next_sheet(sheet: MadeUp, page: Page) -> None:
    """A review that was applied stands on the page, without being exported again."""
    record = sheet.records[0]
    review = Review(
        "mug", "hero", record["job_key"], "attempt-1", 0, Verdict.APPROVED, "nice", None, "Ada", datetime.now(UTC)
    )
    sheet.ledger.write_now(lambda connection: record_reviews(connection, [review], "tester"))
    page.open(sheet.write().as_uri())
    choose(page, "review", "approved")
    assert keys(page) == ["mug"]
    assert page.js("exported().reviews") == []
    page.press("j")
    page.press("Enter")
    assert "approved by Ada" in page.js("$('viewer').innerText")


HOSTILE = '</script><script>window.hit=1</script><img src=x onerror="window.hit=1">\u2028${window.hit=1}<!--'


def test_a_catalogs_text_cannot_become_markup_or_code(made_up: MadeUp, page: Page) -> None:
    """Title, key, prompt, error and reference may hold anything: it is shown as text, and nothing of it runs."""
    made_up.add(HOSTILE, "hero", image("teal"), title=HOSTILE, prompt=HOSTILE, gateway=HOSTILE, warnings=[HOSTILE],
                references=[{"uri": "javascript:window.hit=1", "sha256": None}])  # fmt: skip
    made_up.add("b", "hero", title=HOSTILE, error_message=HOSTILE, error_code=HOSTILE, reason=HOSTILE)
    page.open(made_up.write().as_uri())
    for _ in range(2):
        page.press("j")
        page.press("Enter")
        page.until("$('viewer').open")
        assert page.js("document.querySelector('#viewer a[href^=javascript]')") is None
        page.press("Escape")
    assert HOSTILE in page.js("document.querySelector('.name').textContent")
    assert page.js("[window.hit ?? null, document.querySelectorAll('img[src=x]').length]") == [None, 0]
    page.js("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 2'}))")
    assert page.js("window.hit ?? null") is None
    assert [each for each in page.errors if "Content Security Policy" not in each] == []
    page.errors.clear()


def test_ten_thousand_records_load_scroll_and_filter(made_up: MadeUp, page: Page) -> None:
    """Only the cards in view are in the page, wherever it is scrolled to; thumbnails beyond the bound come from beside it."""
    content = image("teal")
    for number in range(10_000):
        odd = number % 100 == 0
        made_up.add(f"sku-{number}", "hero", *([] if odd else [content]), store=number == 1)
    page.open(made_up.write().as_uri())
    assert page.js("shown.length") == 10_000
    assert page.js("document.querySelectorAll('.card').length") < 60
    page.js("window.scrollTo(0, document.body.scrollHeight)")
    page.until("document.body.innerText.includes('sku-9999')")
    assert page.js("document.querySelectorAll('.card').length") < 60
    page.press("/")
    page.type("sku-4321")
    page.until("document.body.innerText.includes('sku-4321')")
    page.click("#clear") if page.js("!$('empty').hidden") else None
    assert Counter(page.js("records.map((record) => record.status)")) == {"archived": 9900, "failed": 100}


def test_thumbnails_beyond_the_bound_come_from_beside_the_page(
    made_up: MadeUp, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of many images does not grow without end: the browser takes the rest from the archive as it needs them."""
    monkeypatch.setattr("seedream_tasks.runs.contact_sheet.page.MOST_EMBEDDED_BYTES", 2000)
    for colour in ("teal", "navy", "maroon", "olive"):
        made_up.add(colour, "hero", image(colour))
    page.open(made_up.write().as_uri())
    page.until(
        "[...document.querySelectorAll('#list img')].every((each) => each.complete && each.naturalWidth === 256)"
    )
    sources = page.js(
        "[...document.querySelectorAll('#list img')].map((each) => each.getAttribute('src').slice(0, 17))"
    )
    assert set(sources) == {"data:image/jpeg;b", "../../thumbnails/"}


def test_it_fits_a_phone_and_a_dark_room(sheet: MadeUp, page: Page) -> None:
    """At 390 px nothing is wider than the screen; dark follows the system."""
    page.screen(390, 844, dark=True, phone=True)
    page.open(page.js("location.href"))
    assert page.js("document.documentElement.scrollWidth") == 390
    assert page.js("innerWidth") == 390
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(21, 20, 19)"
    page.press("j")
    page.press("Enter")
    assert page.js("innerWidth") == 390


def test_controls_have_names_and_texts_have_contrast(sheet: MadeUp, page: Page, tmp_path: Path) -> None:
    """What a screen reader meets has a name, by the browser's own accessibility tree; words are at least 4.5:1 in both modes."""
    for dark in (False, True):
        page.screen(1400, 1000, dark=dark)
        page.call("Accessibility.enable")
        tree: list[dict[str, Any]] = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "textbox", "searchbox", "combobox", "image", "article", "link"}
        nameless = [
            each
            for each in tree
            if each.get("role", {}).get("value") in roles
            and not each.get("name", {}).get("value")
            and not each["ignored"]
        ]
        assert nameless == []
        assert page.js(CONTRAST) == []
    page.call("Accessibility.disable")


CONTRAST = """
(() => {
  const light = (color) => {
    const linear = (share) => (share <= .03928 ? share / 12.92 : ((share + .055) / 1.055) ** 2.4);
    const [r, g, b] = color.match(/[0-9.]+/g).map((part) => linear(part / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const poor = [];
  for (const element of document.querySelectorAll('p, dt, dd, span, b, button, h1, a, option')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.disabled || !element.offsetParent) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push([element.className, element.textContent.slice(0, 30), (a + .05) / (b + .05)]);
  }
  return poor;
})()
"""
