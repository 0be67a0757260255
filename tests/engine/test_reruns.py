"""A run after a run: what is unchanged costs nothing, what changed is bought once, with its reason."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runs import Ran, assert_bill, products, run, write_catalog
from sandbox_process import Sandbox
from witness import EVERY_GATEWAY, PRICE, assert_files, bought, calls, photo, submissions

SHOTS = """
defaults: {{tier: 2K}}
shots:
  - name: hero
    operation: generate
    prompt: "Studio photograph of {{{{ title }}}} on {background}"
  - name: clean
    operation: edit
    references: ["{{{{ photo }}}}"]
    prompt: "Place this {{{{ title }}}} on white"
    ratio: "{ratio}"
"""


class Shop:
    """Three products with photos and two shots each, and an archive; what a test changes is a field."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = [
            {"sku": name, "title": f"{name} thing", "photo": f"{name}.png", "stock": "1"} for name in ("a", "b", "c")
        ]
        self.background, self.ratio = "seamless white", "1:1"
        for row, colour in zip(self.rows, ("teal", "navy", "maroon"), strict=True):
            photo(folder / row["photo"], colour)

    def run(self, **options: Any) -> Ran:
        """One run of the catalog as it is now."""
        shots = self.folder / "shots.yaml"
        shots.write_text(SHOTS.format(background=self.background, ratio=self.ratio))
        catalog = write_catalog(self.folder / "catalog.csv", *self.rows)
        return run(catalog, self.folder / "archive", shots=str(shots), gateways=["evolink"], **options)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop that has bought nothing yet."""
    return Shop(tmp_path)


def reasons(ran: Ran) -> dict[tuple[str, str], str]:
    """Reasons by (row key, shot), without the unchanged ones."""
    return {(each["row_key"], each["shot"]): each["reason"] for each in ran.records if each["reason"] != "unchanged"}


def assert_bought_exactly(sandbox: Sandbox, first: Ran, second: Ran, *names: tuple[str, str], reason: str) -> None:
    """The second run bought these records, one image each, for this reason, and reused all others."""
    assert reasons(second) == dict.fromkeys(names, reason)
    assert {(each["row_key"], each["shot"]) for each in second.records if not each["reused"]} == set(names)
    assert second.summary.complete
    assert second.summary.billed_usd == len(names) * PRICE["evolink"]
    assert_files(second)
    assert_bill(sandbox, first, second)


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_an_unchanged_catalog_sends_nothing_at_all(gateways: Sandbox, tmp_path: Path, gateway: str) -> None:
    """A second run of the same catalog makes no request of any kind; every record is reused and keeps its cost."""
    catalog = products(tmp_path / "c.csv", 4, n=2)
    first = run(catalog, tmp_path / "a", gateways=[gateway])
    before = gateways.bill()["requests"]
    second = run(catalog, tmp_path / "a", gateways=[gateway])
    assert gateways.bill()["requests"] == before
    assert all(each["reused"] and each["reason"] == "unchanged" for each in second.records)
    assert second.summary.reused == 4
    assert second.summary.billed_usd == second.summary.quoted_usd == 0
    assert second.summary.cost_usd == first.summary.cost_usd == 8 * PRICE[gateway]
    assert [each["images"] for each in second.records] == [each["images"] for each in first.records]
    assert_bill(gateways, first, second)


def test_a_run_of_two_shots_archives_every_product_once(gateways: Sandbox, shop: Shop) -> None:
    """Rows x shots records, each with its image, billed exactly as the gateway bills."""
    ran = shop.run()
    assert ran.statuses() == {"archived": 6}
    assert reasons(ran) == {(row["sku"], shot): "new" for row in shop.rows for shot in ("hero", "clean")}
    assert_files(ran)
    assert_bill(gateways, ran)


def test_a_changed_prompt_buys_that_record_and_no_other(gateways: Sandbox, shop: Shop) -> None:
    """One changed title is one purchase per shot that uses it."""
    first = shop.run()
    shop.rows[1]["title"] = "another thing"
    second = shop.run()
    assert_bought_exactly(gateways, first, second, ("b", "hero"), ("b", "clean"), reason="prompt_changed")


def test_a_changed_template_buys_that_shot_for_every_row(gateways: Sandbox, shop: Shop) -> None:
    """A changed prompt template concerns its own shot only."""
    first = shop.run()
    shop.background = "grey paper"
    second = shop.run()
    names = [(row["sku"], "hero") for row in shop.rows]
    assert_bought_exactly(gateways, first, second, *names, reason="prompt_changed")


def test_another_photo_under_the_same_name_buys_the_shots_that_use_it(gateways: Sandbox, shop: Shop) -> None:
    """References count by their bytes: other bytes under the same path are another job, and are uploaded once."""
    first = shop.run()
    photo(shop.folder / "c.png", "gold")
    second = shop.run()
    assert_bought_exactly(gateways, first, second, ("c", "clean"), reason="reference_changed")


def test_the_same_photo_under_another_name_changes_nothing(gateways: Sandbox, shop: Shop) -> None:
    """Where the reference's bytes come from does not matter."""
    first = shop.run()
    (shop.folder / "c.png").rename(shop.folder / "renamed.png")
    shop.rows[2]["photo"] = "renamed.png"
    before = gateways.bill()["requests"]
    second = shop.run()
    assert gateways.bill()["requests"] == before
    assert second.summary.reused == 6
    assert_bill(gateways, first, second)


def test_a_changed_option_buys_its_shot(gateways: Sandbox, shop: Shop) -> None:
    """Another ratio is another image."""
    first = shop.run()
    shop.ratio = "4:3"
    second = shop.run()
    names = [(row["sku"], "clean") for row in shop.rows]
    assert_bought_exactly(gateways, first, second, *names, reason="options_changed")


def test_a_new_edition_buys_everything_once_however_often_it_is_asked_for(gateways: Sandbox, shop: Shop) -> None:
    """An edition is a word in the fingerprint: asking twice for one pays once."""
    first = shop.run()
    second = shop.run(edition="winter")
    assert set(reasons(second).values()) == {"edition_changed"}
    assert second.summary.billed_usd == 6 * PRICE["evolink"]
    third = shop.run(edition="winter")
    assert third.summary.reused == 6
    back = shop.run()
    assert back.summary.reused == 6
    assert_bill(gateways, first, second, third, back)


def test_a_column_that_no_template_uses_decides_nothing(gateways: Sandbox, shop: Shop) -> None:
    """Changed stock figures, and columns called like shot fields, send nothing; the manifest shows the new values."""
    first = shop.run()
    for row in shop.rows:
        row |= {"stock": "2", "model": "seedream-4.0", "n": "7"}
    before = gateways.bill()["requests"]
    second = shop.run()
    assert gateways.bill()["requests"] == before
    assert second.summary.reused == 6
    assert {each["stock"] for each in second.records} == {"2"}
    assert {each["catalog_n"] for each in second.records} == {"7"}
    assert_bill(gateways, first, second)


def test_the_order_of_the_rows_decides_nothing(gateways: Sandbox, shop: Shop) -> None:
    """A catalog sorted differently is the same catalog."""
    first = shop.run()
    shop.rows.reverse()
    second = shop.run()
    assert second.summary.reused == 6
    assert_bill(gateways, first, second)


def test_one_changed_product_in_a_large_catalog_is_one_purchase(gateways: Sandbox, tmp_path: Path) -> None:
    """300 rows, larger than any batch of planning or work: one changed title buys one image, changed stock figures none."""
    (tmp_path / "s.yaml").write_text('shots: [{name: hero, operation: generate, prompt: "{{ title }} on white"}]')
    rows = [{"sku": f"p{n}", "title": f"Thing {n}", "stock": n} for n in range(300)]

    def again() -> Ran:
        catalog = write_catalog(tmp_path / "c.csv", *rows)
        return run(catalog, tmp_path / "a", shots=str(tmp_path / "s.yaml"), gateways=["evolink"])

    runs = [again()]
    rows = [row | {"stock": 7} for row in rows]
    rows[271] |= {"title": "Another thing"}
    before = submissions(gateways)
    runs.append(again())
    assert submissions(gateways) == before + 1
    assert reasons(runs[1]) == {("p271", "hero"): "prompt_changed"}
    assert (runs[1].summary.reused, runs[1].summary.billed_usd) == (299, PRICE["evolink"])
    assert_bill(gateways, *runs)


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_raising_n_buys_the_new_slots_only_and_lowering_it_nothing(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """n is not in the fingerprint: from 2 to 3 is one image more, from 3 to 1 shows the first one again."""
    runs = [run(products(tmp_path / "c.csv", 2, n=n), tmp_path / "a", gateways=[gateway]) for n in (2, 3, 1, 3)]
    assert [ran.summary.billed_usd for ran in runs] == [count * PRICE[gateway] for count in (4, 2, 0, 0)]
    assert {each["reason"] for each in runs[1].records} == {"more_images"}
    assert [ran.one("p0")["image_count"] for ran in runs] == [2, 3, 1, 3]
    assert runs[2].summary.reused == runs[3].summary.reused == 2
    assert runs[1].one("p0")["images"][:2] == runs[0].one("p0")["images"]
    assert_bill(gateways, *runs)


def test_only_narrows_what_is_bought_and_not_what_is_recorded(gateways: Sandbox, tmp_path: Path) -> None:
    """--only buys the named keys; every other row still has its record, skipped as not selected or archived as before."""
    catalog = products(tmp_path / "c.csv", 3)
    first = run(catalog, tmp_path / "a", gateways=["evolink"], only=("p1",))
    assert [(each["row_key"], each["status"], each["reason"]) for each in first.records] == [
        ("p0", "skipped", "not_selected"),
        ("p1", "archived", "new"),
        ("p2", "skipped", "not_selected"),
    ]
    second = run(catalog, tmp_path / "a", gateways=["evolink"], only=("p2",))
    assert (second.one("p1")["status"], second.one("p1")["reused"]) == ("archived", True)
    assert bought(gateways) == {"Product number 1": 1, "Product number 2": 1}
    assert_bill(gateways, first, second)


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("reject_content", "failed", "failed"),
        ("task_failed_billed", "failed", "failed"),
        ("corrupt_image", "failed", "failed"),
        ("expired_link", "expired", "expired"),
    ],
)
def test_what_ended_without_an_image_stays_closed_until_its_word_is_named(
    gateways: Sandbox, tmp_path: Path, kind: str, status: str, word: str
) -> None:
    """Only the --retry word of its ending opens a slot again, once; paid attempts stay billed beside the new one."""
    gateways.faults([{"gateway": "*", "kind": kind, "match": "number 1"}])
    catalog = products(tmp_path / "c.csv", 2)
    others = tuple(each for each in ("failed", "expired", "lost") if each != word)
    runs = [run(catalog, tmp_path / "a", gateways=["evolink"])]
    gateways.faults([])
    runs += [run(catalog, tmp_path / "a", gateways=["evolink"], retry=retry) for retry in ((), others)]
    assert [ran.one("p1")["status"] for ran in runs] == [status] * 3
    assert submissions(gateways) == 2
    runs.append(run(catalog, tmp_path / "a", gateways=["evolink"], retry=(word,)))
    assert (runs[-1].one("p1")["status"], runs[-1].one("p1")["reason"]) == ("archived", "retried")
    assert runs[-1].one("p1")["attempts"] == 2
    runs.append(run(catalog, tmp_path / "a", gateways=["evolink"], retry=(word,)))
    assert submissions(gateways) == 3
    assert_bill(gateways, *runs)


def test_a_retry_that_fails_again_is_tried_once_a_run(gateways: Sandbox, tmp_path: Path) -> None:
    """--retry failed buys a slot once per run, however it ends."""
    gateways.faults([{"gateway": "*", "kind": "task_failed_billed"}])
    catalog = products(tmp_path / "c.csv", 1)
    runs = [run(catalog, tmp_path / "a", gateways=["evolink"], retry=("failed",)) for _ in range(3)]
    assert submissions(gateways) == 3
    assert [ran.summary.billed_usd for ran in runs] == [PRICE["evolink"]] * 3
    assert_bill(gateways, *runs)


def test_a_record_whose_new_job_failed_keeps_its_last_images_and_is_stale(gateways: Sandbox, shop: Shop) -> None:
    """Somebody shows these images: until the changed job is archived, the last archived ones stand in the record."""
    first = shop.run()
    gateways.faults([{"gateway": "*", "kind": "reject_content", "match": "forbidden"}])
    shop.rows[0]["title"] = "forbidden thing"
    second = shop.run()
    record = second.one("a", "hero")
    assert (record["status"], record["reason"], record["stale"]) == ("failed", "prompt_changed", True)
    assert record["images"] == first.one("a", "hero")["images"]
    assert not second.one("b", "hero")["stale"]
    assert second.summary.billed_usd == 0
    assert_bill(gateways, first, second)


def test_a_changed_record_that_is_not_selected_keeps_its_last_images_too(gateways: Sandbox, shop: Shop) -> None:
    """--only leaves a changed record unbought: skipped, not_selected, stale."""
    first = shop.run()
    shop.rows[0]["title"] = "other thing"
    second = shop.run(only=("b",))
    record = second.one("a", "hero")
    assert (record["status"], record["reason"], record["stale"]) == ("skipped", "not_selected", True)
    assert record["images"] == first.one("a", "hero")["images"]
    assert_bill(gateways, first, second)


def test_rows_that_are_no_jobs_are_recorded_and_never_sent(gateways: Sandbox, tmp_path: Path) -> None:
    """Duplicates, empty keys and fields that no document allows: one record each with its reason, and nothing bought."""
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "First"},
        {"sku": "a", "prompt": "First"},
        {"sku": "a", "prompt": "Another"},
        {"sku": "", "prompt": "No key"},
        {"sku": "b", "prompt": ""},
        {"sku": "c", "prompt": "Good", "n": "16"},
        {"sku": "d", "prompt": "Good", "ratio": "17:1"},
        {"sku": "e", "prompt": "Good", "operation": "edit"},
        {"sku": "f", "prompt": "Good", "operation": "edit", "references": "missing.png"},
    )
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert [(each["status"], each["reason"]) for each in ran.records[:4]] == [
        ("archived", "new"),
        ("skipped", "duplicate_row"),
        ("invalid", "duplicate_key"),
        ("invalid", "missing_key"),
    ]
    assert "line 2" in ran.records[2]["error_message"]
    assert {each["status"] for each in ran.records[4:]} == {"invalid"}
    assert all(each["error_code"] and each["error_message"] for each in ran.records[4:])
    assert calls(gateways) == [1]
    assert submissions(gateways) == 1
    assert_bill(gateways, ran)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"tier": "1K"}, "tier"),
        ({"gateways": "gccai"}, "gateways"),
        ({"ratio": "9:21"}, "ratio"),
        ({"watermark": "true"}, "watermark"),
        ({"speed": "fast"}, "speed"),
        ({"output_format": "webp"}, "output_format"),
        ({"prompt": "x" * 2001}, "prompt_length"),
        ({"pixels": "512x512"}, "pixels"),
    ],
)
def test_a_job_that_no_configured_gateway_can_do_is_invalid_and_names_the_limit(
    gateways: Sandbox, tmp_path: Path, fields: dict[str, Any], code: str
) -> None:
    """Preflight: invalid, no_gateway, the limit's name and its source; nothing is sent for it."""
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"} | fields)
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    record = ran.one("p")
    assert (record["status"], record["reason"], record["error_code"]) == ("invalid", "no_gateway", code)
    assert "evolink" in record["error_message"]
    assert submissions(gateways) == 0
    assert_bill(gateways, ran)


def test_a_shot_may_name_the_gateways_it_is_bought_at(gateways: Sandbox, tmp_path: Path) -> None:
    """`gateways` restricts a job to those named, dearer ones too."""
    catalog = write_catalog(
        tmp_path / "c.csv",
        {"sku": "a", "prompt": "Anywhere", "gateways": ""},
        {"sku": "b", "prompt": "There", "gateways": "getimg"},
        {"sku": "c", "prompt": "One of two", "gateways": "getimg|gccai"},
    )
    ran = run(catalog, tmp_path / "a")
    assert [each["gateway"] for each in ran.records] == ["apiin", "getimg", "gccai"]
    assert_bill(gateways, ran)


def test_a_record_that_was_bought_elsewhere_is_reused_whatever_gateways_are_configured_now(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Gateways and prices are not in the fingerprint."""
    catalog = products(tmp_path / "c.csv", 2)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    second = run(catalog, tmp_path / "a", gateways=["gccai"], max_usd=Decimal("0.01"))
    assert second.summary.reused == 2
    assert second.one("p0")["gateway"] == "evolink"
    assert_bill(gateways, first, second)
