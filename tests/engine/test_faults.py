"""Every fault of the sandbox at every gateway: what the record says, what it costs, and that nothing is bought twice."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runs import assert_bill, go, run, settings, write_catalog
from sandbox_process import Sandbox
from waiting import until
from witness import ASYNCHRONOUS, EVERY_GATEWAY, PRICE, RESERVED, bought, calls, ledger, now, photo, submissions

ZERO = Decimal(0)


@dataclass(frozen=True)
class Expected:
    """What a fault leads to. Codes and numbers that differ between gateways are in `at`."""

    status: str
    code: str | None = None
    billed: str = "nothing"  # or "price"
    at_risk: str = "dispute"  # what is left of a dispute about the price, or "nothing", "reservation"
    attempts: int = 1
    warnings: tuple[str, ...] = ()
    accepted: int = 1  # calls that the gateway accepted for it


ARCHIVED = Expected("archived", billed="price")
UNKNOWN_UNBILLED = Expected("unknown", "unknown", at_risk="reservation", accepted=0)
UNKNOWN_BILLED = Expected("unknown", "unknown", at_risk="reservation")
UNDECODABLE = Expected("failed", "undecodable", billed="price")


def refused(code: str) -> Expected:
    """A definite, unbilled no in answer to the submit."""
    return Expected("failed", code, at_risk="nothing", accepted=0)


# Kind -> what it leads to at each gateway. No document says whether gccai and apiin bill failed tasks: what counts is the charge
# that the task itself reports, and without one the reservation stays at risk and nothing is bought again by itself.
TABLE: dict[str, dict[str, Expected]] = {
    **{
        kind: dict.fromkeys(EVERY_GATEWAY, ARCHIVED)
        for kind in (
            *(
                "refuse_connection",
                "reject_429",
                "http_503",
                "status_500",
                "status_garbage",
                "status_429",
                "surrogate",
                "slow",
            ),
            *("download_500", "no_callback", "duplicate_callback", "late_callback", "forged_callback"),
        )
    },
    "reject_model": {
        "evolink": refused("not_found_error"),
        "gccai": refused("invalid_request_error"),
        "getimg": refused("invalid_parameter"),
        "apiin": refused("invalid_request"),
    },
    "reject_content": dict.fromkeys(EVERY_GATEWAY, refused("content_policy_violation")),
    **{kind: dict.fromkeys(EVERY_GATEWAY, UNKNOWN_UNBILLED) for kind in ("http_500", "http_502", "drop_request")},
    **{
        kind: dict.fromkeys(EVERY_GATEWAY, UNKNOWN_BILLED)
        for kind in ("http_502_accepted", "drop_response", "garbage_json")
    },
    "task_failed": {
        "evolink": Expected("archived", billed="price", attempts=2, accepted=2),  # transient, and never billed there
        "gccai": Expected("archived", billed="price", attempts=2, accepted=2),  # its task says that it cost nothing
        "getimg": refused("content_policy_violation"),  # a synchronous no, in its own words
        "apiin": Expected("archived", billed="price", attempts=2, accepted=2),
    },
    "task_cancelled": {
        "evolink": Expected("cancelled", "request_cancelled", at_risk="nothing"),
        "gccai": Expected("cancelled", "request_cancelled", at_risk="nothing"),
        "getimg": refused("content_policy_violation"),  # it has no cancelled tasks
        "apiin": Expected("cancelled", "request_cancelled", at_risk="nothing"),
    },
    "task_failed_billed": {
        "evolink": Expected("failed", "service_error", billed="price"),  # it reports the charge
        "gccai": Expected("failed", "server_error", at_risk="reservation"),
        "getimg": Expected("failed", "no_images", billed="price"),
        "apiin": Expected("failed", "500", at_risk="reservation"),
    },
    "other_model": {
        gateway: Expected("archived", billed="price", warnings=() if gateway == "gccai" else ("other_model",))
        for gateway in EVERY_GATEWAY  # gccai names no model in its answers
    },
    "expired_link": dict.fromkeys(EVERY_GATEWAY, Expected("expired", "expired", billed="price")),
    **{kind: dict.fromkeys(EVERY_GATEWAY, UNDECODABLE) for kind in ("corrupt_image", "wrong_type", "huge_image")},
}
# More answers in a row that prove nothing than these would take the gateway out for a while: each group is a run.
UNCLEAR = (("http_500", "http_502", "drop_request"), ("http_502_accepted", "drop_response", "garbage_json"))
# A closed port strikes every call of that moment, so it is tried with few.
APART = (*UNCLEAR, ("refuse_connection",))
CLEAR = tuple(kind for kind in TABLE if not any(kind in group for group in APART))
# These would go on for ever (or, at the link, until the image is given up).
ONCE = {"refuse_connection", "reject_429", "http_503", "status_500", "status_garbage", "status_429", "task_failed"}
ONCE |= {"download_500", "no_callback", "duplicate_callback", "late_callback", "forged_callback"}
SHORT_WAIT = {"refuse_connection": 0.2, "reject_429": 0.2, "http_503": 0.2, "status_429": 0.2, "slow": 0.2}


def fault(kind: str, gateway: str = "*", **fields: Any) -> dict[str, Any]:
    """A fault that strikes the row named after it."""
    found = {"gateway": gateway, "kind": kind, "match": f"Prompt of {kind}.", "value": SHORT_WAIT.get(kind)}
    return found | {"count": 1 if kind in ONCE else None, "rate": 1} | fields


def one_row_each(path: Path, kinds: tuple[str, ...], **fields: Any) -> Path:
    """A catalog with a row for each kind, and one that nothing happens to."""
    return write_catalog(path, *({"sku": kind, "prompt": f"Prompt of {kind}.", **fields} for kind in (*kinds, "none")))


def amounts(gateway: str, expected: Expected) -> tuple[Decimal, Decimal]:
    """Billed and at risk in USD."""
    billed = PRICE[gateway] if expected.billed == "price" else ZERO
    dispute = RESERVED[gateway] - billed if billed else ZERO
    return billed, RESERVED[gateway] if expected.at_risk == "reservation" else dispute


@pytest.mark.parametrize("kinds", [CLEAR, *APART], ids=["clear", "unclear", "unclear-accepted", "closed"])
@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_every_fault_leads_to_the_record_and_the_cost_of_the_table(
    gateways: Sandbox, tmp_path: Path, gateway: str, kinds: tuple[str, ...]
) -> None:
    """A fault's record has the status, error, attempts, bill and risk of the table, and the sandbox's bill agrees exactly."""
    gateways.faults([fault(kind) for kind in kinds])
    ran = run(one_row_each(tmp_path / "c.csv", kinds), tmp_path / "a", gateways=[gateway])
    counted = bought(gateways)
    found, wanted = {}, {}
    for kind in (*kinds, "none"):
        expected = TABLE[kind][gateway] if kind != "none" else ARCHIVED
        record = ran.one(kind)
        wanted[kind] = (
            *(expected.status, expected.code, *amounts(gateway, expected)),
            *(expected.attempts, list(expected.warnings), expected.accepted),
        )
        found[kind] = (
            *(record["status"], record["error_code"], record["billed_usd"], record["at_risk_usd"]),
            *(record["attempts"], record["warnings"], counted[f"Prompt of {kind}."]),
        )
    assert found == wanted
    assert_bill(gateways, ran)


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_what_is_unknown_failed_or_expired_is_not_bought_again_by_itself(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """A later run without --retry buys nothing for records whose image may have been paid for, or was refused for good."""
    kinds = ("drop_response", "http_502", "reject_content", "reject_model", "task_failed_billed", "expired_link")
    gateways.faults([fault(kind) for kind in kinds])
    catalog = one_row_each(tmp_path / "c.csv", kinds)
    first = run(catalog, tmp_path / "a", gateways=[gateway])
    gateways.faults([])
    sent = submissions(gateways)
    second = run(catalog, tmp_path / "a", gateways=[gateway])
    assert submissions(gateways) == sent
    assert {each["row_key"]: each["status"] for each in second.records} == {
        each["row_key"]: each["status"] for each in first.records
    }
    assert second.summary.billed_usd == 0
    assert second.summary.at_risk_usd == first.summary.at_risk_usd
    assert_bill(gateways, first, second)


@pytest.mark.parametrize("kind", ["reject_401", "reject_402"])
@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_an_account_that_is_refused_is_out_for_the_run_and_works_again_in_the_next(
    gateways: Sandbox, tmp_path: Path, gateway: str, kind: str
) -> None:
    """401 and 402 at submit cost nothing, are not repeated in the run, and the next run buys by itself."""
    gateways.faults([fault(kind, match=None)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One product"})
    first = run(catalog, tmp_path / "a", gateways=[gateway])
    assert submissions(gateways) == 1
    assert first.one("p")["billed_usd"] == first.one("p")["at_risk_usd"] == 0
    assert first.one("p")["status"] != "archived"
    assert_bill(gateways, first)
    gateways.faults([])
    second = run(catalog, tmp_path / "a", gateways=[gateway])
    assert (second.one("p")["status"], second.one("p")["attempts"]) == ("archived", 2)
    assert_bill(gateways, first, second)


@pytest.mark.parametrize(
    ("gateway", "billed", "at_risk", "warnings"),
    [
        ("evolink", "0.062", "0", ["price_drift"]),  # credits of the finished task
        ("getimg", "0.08", "0", ["price_drift"]),  # USD in the answer
        ("gccai", "0.035", "0.035", []),  # a cost without a currency is no bill, but a doubt
        ("apiin", "0.024", "0.096", []),  # nothing is reported; the dispute covers it
    ],
)
def test_another_price_is_billed_where_reported_and_at_risk_where_not(
    gateways: Sandbox, tmp_path: Path, gateway: str, billed: str, at_risk: str, warnings: list[str]
) -> None:
    """A charge above the reservation is billed as the gateway reports it; a figure that nobody may believe is at risk."""
    gateways.faults([fault("other_price", match=None)])
    ran = run(write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"}), tmp_path / "a", gateways=[gateway])
    record = ran.one("p")
    assert (record["status"], record["warnings"]) == ("archived", warnings)
    assert (record["billed_usd"], record["at_risk_usd"]) == (Decimal(billed), Decimal(at_risk))
    assert_bill(gateways, ran)


@pytest.mark.parametrize("gateway", EVERY_GATEWAY)
def test_a_task_that_finishes_without_an_image_failed_and_cost_nothing(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """Finished with no images at all: failed, no_images, billed as produced, and bought again by --retry failed only."""
    gateways.faults([fault("fewer_images", match=None, value=0)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    first = run(catalog, tmp_path / "a", gateways=[gateway])
    record = first.one("p")
    assert (record["status"], record["error_code"], record["billed_usd"]) == ("failed", "no_images", 0)
    gateways.faults([])
    second = run(catalog, tmp_path / "a", gateways=[gateway])
    assert len(calls(gateways)) == 1
    third = run(catalog, tmp_path / "a", gateways=[gateway], retry=("failed",))
    assert (third.one("p")["status"], third.one("p")["reason"]) == ("archived", "retried")
    assert_bill(gateways, first, second, third)


@pytest.mark.parametrize("gateway", ["evolink", "gccai"])
def test_fewer_images_than_asked_for_are_an_archived_record_with_a_warning(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """A call that made 2 of 3 is billed for 2 and archived with `fewer_images`; the gateway that makes groups decides that."""
    photo(tmp_path / "photo.png")
    gateways.faults([fault("fewer_images", match=None)])
    row = {"sku": "p", "prompt": "Three", "n": 3, "operation": "edit", "references": "photo.png"}
    ran = run(write_catalog(tmp_path / "c.csv", row), tmp_path / "a", gateways=[gateway])
    record = ran.one("p")
    assert (record["status"], record["image_count"], record["warnings"]) == ("archived", 2, ["fewer_images"])
    assert record["billed_usd"] == 2 * PRICE[gateway]
    assert_bill(gateways, ran)


@pytest.mark.parametrize("kind", ["corrupt_image", "wrong_type", "huge_image"])
def test_paid_bytes_that_are_no_image_are_kept_aside(gateways: Sandbox, tmp_path: Path, kind: str) -> None:
    """What does not decode is fetched three times, kept under quarantine/, and bought again only by --retry failed."""
    gateways.faults([fault(kind, match=None)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    (kept,) = (tmp_path / "a" / "quarantine").iterdir()
    assert kept.stat().st_size > 0
    assert first.one("p")["attempt_ids"][0] in kept.name
    assert gateways.bill()["entries"][0]["downloads"] == 3
    gateways.faults([])
    again = run(catalog, tmp_path / "a", gateways=["evolink"], retry=("failed",))
    assert (again.one("p")["status"], again.one("p")["reason"]) == ("archived", "retried")
    assert_bill(gateways, first, again)


@pytest.mark.parametrize("kind", ["slow", "stuck"])
@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_what_is_still_running_when_the_wait_is_over_stays_in_flight(
    gateways: Sandbox, tmp_path: Path, gateway: str, kind: str
) -> None:
    """Beyond --wait a task is in flight with its money reserved, billed nothing yet, and a further run sends nothing."""
    gateways.faults([fault(kind, match=None, value=3600 if kind == "slow" else None)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    first = run(catalog, tmp_path / "a", gateways=[gateway], wait_s=0.2)
    record = first.one("p")
    assert (record["status"], record["billed_usd"]) == ("in_flight", 0)
    assert record["quoted_usd"] == PRICE[gateway]
    again = run(catalog, tmp_path / "a", gateways=[gateway], wait_s=0.2)
    assert again.one("p")["status"] == "in_flight"
    assert submissions(gateways) == 1


@pytest.mark.parametrize("gateway", ASYNCHRONOUS)
def test_a_later_run_archives_what_was_in_flight_and_the_run_that_bought_it_is_billed(
    gateways: Sandbox, tmp_path: Path, gateway: str
) -> None:
    """An adopted attempt is billed in the run that reserved it: nothing in the later one, and the earlier manifest is new."""
    gateways.faults([fault("slow", match=None, value=3600)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    first = run(catalog, tmp_path / "a", gateways=[gateway], wait_s=0.2)
    gateways.advance(3600)
    second = run(catalog, tmp_path / "a", gateways=[gateway])
    assert second.one("p")["status"] == "archived"
    assert second.one("p")["billed_usd"] == second.one("p")["quoted_usd"] == 0
    assert second.one("p")["cost_usd"] == PRICE[gateway]
    assert now(first).one("p")["status"] == "archived"
    assert now(first).one("p")["billed_usd"] == PRICE[gateway]
    assert submissions(gateways) == 1
    assert_bill(gateways, now(first), second)


def test_the_answer_of_a_synchronous_gateway_that_does_not_come_in_time_leaves_it_unknown(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """getimg names no task before it answers: a call that ends by its timeout is unknown, its price at risk."""
    monkeypatch.setattr("seedream_tasks.gateways.client.SYNCHRONOUS_TIMEOUT_S", 0.5)
    gateways.faults([fault("stuck", match=None)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    ran = run(catalog, tmp_path / "a", gateways=["getimg"])
    assert (ran.one("p")["status"], ran.one("p")["at_risk_usd"]) == ("unknown", PRICE["getimg"])
    assert_bill(gateways, ran)


def _forget(archive: Path, older_s: int) -> None:
    """As if the gateway had forgotten the task, said so twice, first eleven minutes ago; the task is that old as well."""
    ledger(
        archive,
        "UPDATE attempts SET task_id = substr(task_id, 1, length(task_id) - 4) || 'zzzz', not_found = 2,"
        " not_found_since = intent_at - 660000000, submitted_at = submitted_at - ?, intent_at = intent_at - ?",
        older_s * 1_000_000,
        older_s * 1_000_000,
    )


def test_a_task_the_gateway_has_forgotten_is_lost_and_bought_again_only_on_request(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Own 404s, three over ten minutes: lost, the amount at risk for good, the slot closed until --retry lost."""
    gateways.faults([fault("stuck", match=None, count=1)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    first = run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    _forget(tmp_path / "a", 700)
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert (second.one("p")["status"], second.one("p")["at_risk_usd"]) == ("lost", PRICE["evolink"])
    assert now(first).one("p")["status"] == "lost"
    assert run(catalog, tmp_path / "a", gateways=["evolink"], retry=("failed", "expired")).one("p")["status"] == "lost"
    assert submissions(gateways) == 1
    third = run(catalog, tmp_path / "a", gateways=["evolink"], retry=("lost",))
    assert (third.one("p")["status"], third.one("p")["reason"]) == ("archived", "retried")
    assert (third.one("p")["billed_usd"], third.one("p")["at_risk_usd"]) == (PRICE["evolink"], PRICE["evolink"])
    assert_bill(gateways, now(first), now(second), third)


def test_404_within_the_first_minute_gives_nothing_up(gateways: Sandbox, tmp_path: Path) -> None:
    """A task may not have reached every server of the gateway yet: it stays in flight."""
    gateways.faults([fault("stuck", match=None)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "One"})
    run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    _forget(tmp_path / "a", 0)
    asked = gateways.bill()["requests"]["GET /evolink/v1/tasks/{id}"]

    def is_polled() -> bool:
        return bool(gateways.bill()["requests"]["GET /evolink/v1/tasks/{id}"] > asked + 1)

    async def run_until_polled() -> None:
        running = asyncio.create_task(go(settings(catalog, tmp_path / "a", gateways=["evolink"])))
        await asyncio.to_thread(until, is_polled, "two polls, the first of which has been recorded")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run_until_polled())
    (attempt,) = ledger(tmp_path / "a", "SELECT state, not_found FROM attempts")
    assert (attempt["state"], attempt["not_found"] >= 3) == ("accepted", True)
    assert submissions(gateways) == 1
