"""What people reject is bought anew, once, and nothing else of the record is."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runs import Ran, assert_bill, products, run, write_catalog
from sandbox_process import Sandbox
from witness import assert_files

from seedream_tasks.config.settings import locations
from seedream_tasks.core.errors import InputError
from seedream_tasks.ledger import identity
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.maintenance.prune import prune
from seedream_tasks.maintenance.rebuild import rebuild
from seedream_tasks.maintenance.review import Applied, apply_review, read_review
from seedream_tasks.storage.archive import Archive

IMAGE = Decimal("0.031")


class Shop:
    """One product, its runs, and the reviews of them."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder = folder
        self.catalog = products(folder / "c.csv", 1, n=n)
        self.runs: list[Ran] = []

    def run(self, **options: Any) -> dict[str, Any]:
        """One run; its record."""
        self.runs.append(run(self.catalog, self.folder / "archive", gateways=["evolink"], **options))
        return self.runs[-1].one("p0")

    def entry(self, slot: int, verdict: str = "rejected", **values: Any) -> dict[str, Any]:
        """A verdict on the image that stands in a slot of the last run's record."""
        image = next(each for each in self.runs[-1].one("p0")["images"] if each["slot"] == slot)
        now = datetime.now(UTC).isoformat()
        return {"attempt_id": image["attempt_id"], "slot": slot, "verdict": verdict, "decided_at": now} | values

    def file(self, *entries: dict[str, Any], **values: Any) -> str:
        """A review file, as the contact sheet exports it."""
        ledger = open_ledger(f"sqlite:///{self.folder / 'archive' / 'ledger.db'}", create=False)
        try:
            own = ledger.read_now(identity.ledger_id)
        finally:
            ledger.close()
        run_id = self.runs[-1].run_id
        given = {"format": "seedream-review", "version": 1, "run_id": run_id, "ledger_id": own, "reviews": entries}
        return json.dumps(given | values)

    def apply(self, text: str) -> Applied:
        """Take a review back."""
        ledger = open_ledger(f"sqlite:///{self.folder / 'archive' / 'ledger.db'}", create=False)
        try:
            given = read_review(text, "review.json")
            return apply_review(ledger, Archive(str(self.folder / "archive")), given, "review.json", "tester")
        finally:
            ledger.close()


@pytest.fixture
def shop(tmp_path: Path) -> Callable[[int], Shop]:
    """A shop of one product that wants so many images."""
    return lambda n: Shop(tmp_path, n)


def test_a_rejected_image_is_bought_anew_once(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """Reason `rejected`, another edition, one purchase, however often the file is taken in; the old image stays on disk."""
    mine = shop(1)
    before = mine.run()
    review = mine.file(mine.entry(0, note="too dark"))
    assert mine.apply(review) == Applied(mine.runs[0].run_id, 0, 1, 1, IMAGE)
    assert mine.apply(review).new == 0
    after = mine.run()
    assert (after["status"], after["reason"], after["edition"], after["stale"]) == (
        "archived",
        "rejected",
        "rejected-1",
        False,
    )
    assert (after["billed_usd"], after["cost_usd"]) == (IMAGE, IMAGE)
    assert mine.runs[-1].summary.rework_usd == IMAGE
    assert after["images"][0]["path"] != before["images"][0]["path"]
    assert (mine.folder / "archive" / before["images"][0]["path"]).exists()
    mine.apply(review)
    again = mine.run()
    assert (again["reason"], again["billed_usd"], again["images"]) == ("unchanged", 0, after["images"])
    assert gateways.bill()["images"] == 2
    assert_files(mine.runs[-1])
    assert_bill(gateways, *mine.runs)


def test_an_amended_prompt_is_what_the_gateway_is_asked_for(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """The prompt of the review stands instead of the rendered one, for this row and shot only."""
    mine = shop(1)
    mine.run()
    mine.apply(mine.file(mine.entry(0, prompt="  A brighter\nproduct ")))
    after = mine.run()
    assert (after["prompt"], after["reason"]) == ("A brighter product", "rejected")
    assert [each["prompt"] for each in gateways.bill()["entries"]] == ["Product number 0", "A brighter product"]


def test_of_several_images_only_the_rejected_one_is_bought(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """The others keep their place in the record and are not paid for again."""
    mine = shop(3)
    before = mine.run()
    mine.apply(mine.file(mine.entry(1), mine.entry(0, "approved")))
    after = mine.run()
    assert (after["status"], after["billed_usd"], after["image_count"]) == ("archived", IMAGE, 3)
    kept = {0: before["images"][0], 2: before["images"][2]}
    assert {each["slot"]: each for each in after["images"] if each["slot"] != 1} == kept
    assert after["images"][1]["attempt_id"] not in before["attempt_ids"]
    assert gateways.bill()["images"] == 4
    again = mine.run()
    assert (again["reason"], again["billed_usd"], again["images"], again["reused"]) == (
        "unchanged",
        0,
        after["images"],
        True,
    )
    assert_bill(gateways, *mine.runs)


def test_until_it_is_bought_the_old_image_stands_as_stale(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """A record without another image keeps the rejected one, marked; one with others shows those and is partial."""
    mine = shop(1)
    before = mine.run()
    mine.apply(mine.file(mine.entry(0)))
    waiting = mine.run(max_usd=Decimal(0))
    assert (waiting["status"], waiting["reason"], waiting["stale"]) == ("deferred", "over_cap", True)
    assert waiting["images"] == before["images"]
    assert mine.run()["stale"] is False
    assert_bill(gateways, *mine.runs)


def test_a_record_with_a_kept_image_is_partial_until_the_other_is_bought(
    gateways: Sandbox, shop: Callable[[int], Shop]
) -> None:
    """What was not rejected is shown, what was is not."""
    mine = shop(2)
    before = mine.run()
    mine.apply(mine.file(mine.entry(0)))
    waiting = mine.run(max_usd=Decimal(0))
    assert (waiting["status"], waiting["stale"], waiting["images"]) == ("partial", False, before["images"][1:])
    assert mine.run()["status"] == "archived"
    assert gateways.bill()["images"] == 3


def test_a_verdict_may_be_taken_back_before_and_after(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """The last word on an image counts: approved again, it stands again, and nothing is bought."""
    mine = shop(1)
    before = mine.run()
    reject, approve = mine.entry(0), mine.entry(0, "approved")
    mine.apply(mine.file(reject))
    mine.apply(mine.file(approve))
    assert mine.run()["billed_usd"] == 0
    mine.apply(mine.file(mine.entry(0)))
    mine.run()
    mine.apply(mine.file(approve | {"decided_at": datetime.now(UTC).isoformat()}))
    assert mine.run()["images"] == before["images"]
    assert gateways.bill()["images"] == 2


def test_another_prompt_in_the_catalog_starts_afresh(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """A review speaks of what was asked for; what the catalog asks for now is another job."""
    mine = shop(1)
    mine.run()
    mine.apply(mine.file(mine.entry(0, prompt="Amended")))
    write_catalog(mine.catalog, {"sku": "p0", "prompt": "Quite another", "n": 1})
    after = mine.run()
    assert (after["prompt"], after["edition"], after["reason"]) == ("Quite another", None, "prompt_changed")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_rejected_when_each_run_buys_exactly_that(
    gateways: Sandbox, shop: Callable[[int], Shop], seed: int
) -> None:
    """Rounds of reviews of four images: a run buys as many as were rejected, and shows none of those."""
    chance = random.Random(seed)
    mine = shop(4)
    mine.run()
    images = 4
    for number in range(5):
        slots = chance.sample(range(4), chance.randint(0, 3))
        entries = [mine.entry(slot, prompt=chance.choice([None, f"Prompt {number}", "Prompt 0"])) for slot in slots]
        rejected = {(each["attempt_id"], each["slot"]) for each in entries}
        standing = {(each["attempt_id"], each["slot"]) for each in mine.runs[-1].one("p0")["images"]}
        mine.apply(mine.file(*entries))
        after = mine.run()
        shown = {(each["attempt_id"], each["slot"]) for each in after["images"]}
        images += len(slots)
        assert gateways.bill()["images"] == images
        assert (after["status"], after["billed_usd"]) == ("archived", IMAGE * len(slots))
        assert sorted(slot for _, slot in shown) == [0, 1, 2, 3]
        assert shown & standing == standing - rejected
    assert_files(mine.runs[-1])
    assert_bill(gateways, *mine.runs)


def test_more_images_than_before_are_bought_beside_the_amended_one(
    gateways: Sandbox, shop: Callable[[int], Shop]
) -> None:
    """n is raised after a review: the further image is asked for as the catalog says, and each is paid for once."""
    mine = shop(2)
    mine.run()
    mine.apply(mine.file(mine.entry(1, prompt="Amended")))
    mine.run()
    products(mine.catalog, 1, n=3)
    mine.apply(mine.file(mine.entry(0, prompt="Amended too")))
    after = mine.run()
    assert (after["status"], after["image_count"], after["billed_usd"]) == ("archived", 3, 2 * IMAGE)
    prompts = [each["prompt"] for each in gateways.bill()["entries"]]
    assert sorted(prompts[2:]) == ["Amended too", "Product number 0"]
    assert mine.run()["billed_usd"] == 0
    assert gateways.bill()["images"] == 5
    assert_bill(gateways, *mine.runs)


def test_a_rebuilt_ledger_pays_for_no_reworked_image_again(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """After `ledger rebuild` and with the reviews taken back again, a record of three jobs is whole and costs nothing."""
    mine = shop(3)
    mine.run()
    review = mine.file(mine.entry(1, prompt="One"), mine.entry(2, prompt="Two"))
    mine.apply(review)
    before = mine.run()
    for path in (mine.folder / "archive").glob("ledger.db*"):
        path.unlink()
    place = locations(str(mine.folder / "archive"), None, simulated=False)
    done = rebuild([place.archive], place.ledger_url)
    assert (done.unknown, done.images, done.attempts) == (0, 5, 3)
    mine.apply(review)
    after = mine.run()
    assert (after["status"], after["billed_usd"], after["images"]) == ("archived", 0, before["images"])
    assert gateways.bill()["images"] == 5


def test_a_pruned_image_stays_rejected(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """Deleting what was rejected changes nothing: the new image stands, nothing is lost, nothing is bought."""
    mine = shop(2)
    mine.run()
    mine.apply(mine.file(mine.entry(1)))
    before = mine.run()
    done = prune(locations(str(mine.folder / "archive"), None, simulated=False), delete=True, at_most=1)
    assert (done.total.images, len(list((mine.folder / "archive" / "images" / "p0").iterdir()))) == (1, 2)
    after = mine.run()
    assert (after["status"], after["billed_usd"], after["images"]) == ("archived", 0, before["images"])


def test_a_review_of_something_else_is_refused_as_a_whole(gateways: Sandbox, shop: Callable[[int], Shop]) -> None:
    """Another ledger, run, image, format or field: exit 2, and nothing of the file is kept."""
    mine = shop(2)
    mine.run()
    good = mine.entry(0)
    wrong = [
        ("nonsense", "review"),
        (json.dumps({"reviews": []}), "format"),
        (mine.file(good, version=2), "version"),
        (mine.file(good, ledger_id="another"), "ledger_id"),
        (mine.file(good, run_id="another"), "run_id"),
        (mine.file(good, reviews="all"), "reviews"),
        (mine.file(good, mine.entry(1) | {"attempt_id": "nobody"}), "attempt_id"),
        (mine.file(good, mine.entry(1) | {"slot": 7}), "attempt_id"),
        (mine.file(good, mine.entry(1, verdict="perhaps")), "verdict"),
        (mine.file(good, mine.entry(1) | {"decided_at": "yesterday"}), "decided_at"),
        (mine.file(good, mine.entry(1, "approved", prompt="x")), "prompt"),
        (mine.file(mine.entry(0, note=5)), "note"),
    ]
    for text, field in wrong:
        with pytest.raises(InputError) as error:
            mine.apply(text)
        assert error.value.facts["field"] == field, text
    assert mine.run()["billed_usd"] == 0
