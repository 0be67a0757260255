"""Where a job is bought, what is tried next after a no, and where the money ends."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from runs import Ran, assert_bill, go, products, run, settings, write_catalog
from sandbox_process import Sandbox
from web_server import closed_port
from witness import EVERY_GATEWAY, PRICE, bought, calls, submissions, submissions_at

from seedream_tasks.core.errors import SeedreamError
from seedream_tasks.engine.account_limiter import Breaker

CAP = Decimal("0.10")


def fault(gateway: str, kind: str, match: str | None = None, count: int | None = None) -> dict[str, object]:
    """An entry of the sandbox's fault list."""
    return {"gateway": gateway, "kind": kind, "match": match, "count": count}


def test_the_cheapest_gateway_gets_the_job_and_the_record_says_so(gateways: Sandbox, tmp_path: Path) -> None:
    """Quotes decide, not what is reserved: apiin, and `cheapest_usd` is what it costs there."""
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a")
    assert {each["gateway"] for each in ran.records} == {"apiin"}
    assert {each["cheapest_usd"] for each in ran.records} == {PRICE["apiin"]}
    assert all(each["route_reason"] for each in ran.records)
    assert_bill(gateways, ran)


@pytest.mark.parametrize("kind", ["reject_429", "http_503"])
def test_a_pause_longer_than_the_run_sends_jobs_to_the_next_gateway(
    gateways: Sandbox, tmp_path: Path, kind: str
) -> None:
    """A definite, unbilled no of one gateway puts nothing off while another one can do it; with none left it does."""
    gateways.faults([{**fault("apiin", kind), "value": 600}])
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["apiin", "evolink"], wait_s=60)
    assert ran.statuses() == {"archived": 3}
    assert {each["gateway"] for each in ran.records} == {"evolink"}
    assert all("apiin: it asks to wait" in each["route_reason"] for each in ran.records)
    alone = run(products(tmp_path / "d.csv", 3, edition="b"), tmp_path / "a", gateways=["apiin"], wait_s=60)
    assert alone.statuses() == {"deferred": 3}
    assert {each["reason"] for each in alone.records} == {"no_gateway"}
    assert_bill(gateways, ran, alone)


@pytest.mark.parametrize("kind", ["reject_401", "reject_402"])
def test_an_account_that_is_refused_sends_its_jobs_to_the_next_gateway(
    gateways: Sandbox, tmp_path: Path, kind: str
) -> None:
    """Key or balance at the cheapest: the next in price buys, the reason names who was out and what it would have cost."""
    gateways.faults([fault("apiin", kind)])
    ran = run(products(tmp_path / "c.csv", 6), tmp_path / "a")
    assert ran.statuses() == {"archived": 6}
    assert {each["gateway"] for each in ran.records} == {"evolink"}
    assert all("apiin" in each["route_reason"] for each in ran.records)
    assert {each["cheapest_usd"] for each in ran.records} == {PRICE["apiin"]}
    assert_bill(gateways, ran)


def test_an_account_that_is_out_is_left_alone_for_the_rest_of_the_run(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one call at a time, a single 402 is all that is asked of an account without balance."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults([fault("apiin", "reject_402")])
    ran = run(products(tmp_path / "c.csv", 4), tmp_path / "a", gateways=["apiin", "evolink"])
    assert ran.statuses() == {"archived": 4}
    assert submissions_at(gateways, "apiin") == 1
    assert_bill(gateways, ran)


def test_jobs_wait_for_a_later_run_where_every_account_is_out(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that were never sent because the only account is out are deferred, no_gateway, and bought by the next run."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults([fault("evolink", "reject_402")])
    catalog = products(tmp_path / "c.csv", 4)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    waiting = [each for each in first.records if each["attempts"] == 0]
    assert len(waiting) == 3
    assert {(each["status"], each["reason"]) for each in waiting} == {("deferred", "no_gateway")}
    gateways.faults([])
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert second.statuses() == {"archived": 4}
    assert_bill(gateways, first, second)


def test_a_model_that_one_gateway_refuses_is_bought_at_the_next(gateways: Sandbox, tmp_path: Path) -> None:
    """A definite, unbilled no for the job: the next gateway in price gets it, the others stay with the cheapest."""
    gateways.faults([fault("apiin", "reject_model", "number 1"), fault("evolink", "reject_model", "number 1")])
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a")
    assert [each["gateway"] for each in ran.records] == ["apiin", "gccai", "apiin"]
    assert ran.one("p1")["attempts"] == 3
    assert ran.statuses() == {"archived": 3}
    assert_bill(gateways, ran)


def test_a_job_that_every_gateway_refuses_failed_with_the_last_word_said(gateways: Sandbox, tmp_path: Path) -> None:
    """Each gateway is asked once, and a further run asks none again."""
    gateways.faults([fault("*", "reject_model")])
    catalog = products(tmp_path / "c.csv", 1)
    first = run(catalog, tmp_path / "a")
    assert (first.one("p0")["status"], first.one("p0")["attempts"]) == ("failed", 4)
    assert {name: submissions_at(gateways, name) for name in EVERY_GATEWAY} == dict.fromkeys(EVERY_GATEWAY, 1)
    second = run(catalog, tmp_path / "a")
    assert second.one("p0")["status"] == "failed"
    assert submissions(gateways) == 4
    assert_bill(gateways, first, second)


def test_refused_content_is_not_shopped_around(gateways: Sandbox, tmp_path: Path) -> None:
    """What one gateway refuses to show is shown to no other: one submission, one record that says why."""
    gateways.faults([fault("apiin", "reject_content", "number 0")])
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a")
    assert (ran.one("p0")["status"], ran.one("p0")["error_code"]) == ("failed", "content_policy_violation")
    assert ran.one("p1")["status"] == "archived"
    assert submissions(gateways) == 2
    assert_bill(gateways, ran)


# What evolink says to the second of three jobs -> where the second and the third are bought, and why the second there.
NOES = {
    "reject_401": ("getimg", "getimg", "next: evolink: "),
    "reject_402": ("getimg", "getimg", "next: evolink: "),
    "reject_model": ("getimg", "evolink", "next: evolink refused it"),
    "reject_content": (None, "evolink", "cheapest"),
    "reject_429": ("evolink", "evolink", "cheapest"),
    "http_503": ("evolink", "evolink", "cheapest"),
    "task_failed": ("evolink", "evolink", "cheapest"),
}


@pytest.mark.parametrize("kind", NOES)
def test_each_no_leads_where_it_should_and_the_record_says_what_the_cheapest_would_have_cost(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Account: all go on to the next; model: this job alone; content: nowhere; rate, outage, a passing failure: again there."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    short = {"value": 0.2} if kind in ("reject_429", "http_503") else {}
    gateways.faults([fault("evolink", kind, "number 1", count=1) | short])
    ran = run(products(tmp_path / "c.csv", 3, n=2), tmp_path / "a", gateways=["evolink", "getimg"])
    second, third, why = NOES[kind]
    struck = ran.one("p1")
    assert [image["gateway"] for image in struck["images"]] == ([second] * 2 if second else [])
    assert struck["status"] == ("archived" if second else "failed")
    assert struck["route_reason"].startswith(why)
    assert struck["cheapest_usd"] == (2 * PRICE["evolink"] if second else None)
    assert (ran.one("p2")["gateway"], ran.one("p2")["cheapest_usd"]) == (third, 2 * PRICE["evolink"])
    asked = sum(each["gateway"] == "getimg" for each in (struck, ran.one("p2")))
    assert submissions_at(gateways, "getimg") == 2 * asked
    assert_bill(gateways, ran)


def test_a_job_put_off_by_its_premium_says_so_with_both_figures(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deferred, never sent: the reason names the dearer gateway and by how much, `cheapest_usd` the cost at the other."""
    monkeypatch.setenv("SEEDREAM_IN_FLIGHT", "1")
    gateways.faults([fault("evolink", "reject_402")])
    catalog = products(tmp_path / "c.csv", 2, n=2)
    ran = run(catalog, tmp_path / "a", gateways=["evolink", "getimg"], max_premium=Decimal("0.1"))
    waiting = ran.one("p1")
    assert (waiting["status"], waiting["reason"], waiting["attempts"]) == ("deferred", "no_gateway", 0)
    assert "getimg costs 29 % more than evolink" in waiting["route_reason"]
    assert waiting["cheapest_usd"] == 2 * PRICE["evolink"]
    assert ran.summary.deferred_usd == 2 * PRICE["evolink"]
    assert submissions_at(gateways, "getimg") == 0
    assert_bill(gateways, ran)


@pytest.mark.parametrize("kind", ["http_502", "drop_response"])
def test_what_may_have_been_accepted_is_not_bought_elsewhere(gateways: Sandbox, tmp_path: Path, kind: str) -> None:
    """No proof is no reason to go on: the slot stays taken, nobody else is asked."""
    gateways.faults([fault("apiin", kind)])
    ran = run(products(tmp_path / "c.csv", 1), tmp_path / "a")
    assert ran.one("p0")["status"] == "unknown"
    assert submissions(gateways) == 1
    assert_bill(gateways, ran)


def test_a_premium_that_is_too_high_defers_the_job(gateways: Sandbox, tmp_path: Path) -> None:
    """evolink costs 29 % more than apiin: not at 0.1; the next run, with 0.5, buys it there."""
    catalog = products(tmp_path / "c.csv", 2)
    gateways.faults([fault("apiin", "reject_402")])
    first = run(catalog, tmp_path / "a", gateways=["apiin", "evolink"], max_premium=Decimal("0.1"))
    assert submissions_at(gateways, "evolink") == 0
    assert first.summary.billed_usd == 0
    assert not first.summary.complete
    second = run(catalog, tmp_path / "a", gateways=["apiin", "evolink"], max_premium=Decimal("0.5"))
    assert {(each["status"], each["gateway"]) for each in second.records} == {("archived", "evolink")}
    assert_bill(gateways, first, second)


def test_a_gateway_that_does_not_answer_at_the_start_is_out_and_the_others_buy(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens where the cheapest should be: the run goes on without it, and says so."""
    monkeypatch.setenv("SEEDREAM_APIIN_BASE_URL", closed_port())
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["apiin", "getimg"])
    assert {(each["status"], each["gateway"]) for each in ran.records} == {("archived", "getimg")}
    assert all("apiin" in each["route_reason"] for each in ran.records)
    assert_bill(gateways, ran)


def test_no_gateway_that_answers_is_a_fault_of_the_run(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All out at the start: the run ends with `no_gateway`, having sent nothing; no input was wrong."""
    for name in EVERY_GATEWAY:
        monkeypatch.setenv(f"SEEDREAM_{name.upper()}_BASE_URL", closed_port())
    with pytest.raises(SeedreamError) as raised:
        run(products(tmp_path / "c.csv", 1), tmp_path / "a")
    assert raised.value.as_json()["code"] == "no_gateway"
    assert type(raised.value) is SeedreamError
    assert gateways.bill()["requests"] == {}


def test_a_cap_holds_to_the_cent_and_the_next_run_goes_on(gateways: Sandbox, tmp_path: Path) -> None:
    """10 jobs of 0.031 under 0.10: 3 archived, 7 deferred as over_cap at 0.217; a new run has a new cap."""
    catalog = products(tmp_path / "c.csv", 10)

    def capped() -> Ran:
        return run(catalog, tmp_path / "a", gateways=["evolink"], max_usd=CAP)

    runs = [capped()]
    assert runs[0].statuses() == {"archived": 3, "deferred": 7}
    assert {each["reason"] for each in runs[0].records if each["status"] == "deferred"} == {"over_cap"}
    assert runs[0].summary.deferred_usd == 7 * PRICE["evolink"]
    assert_bill(gateways, *runs)
    runs += [capped(), capped(), capped()]
    assert [ran.statuses()["archived"] for ran in runs] == [3, 6, 9, 10]
    assert [ran.summary.billed_usd for ran in runs] == [count * PRICE["evolink"] for count in (3, 3, 3, 1)]
    assert_bill(gateways, *runs)


def test_a_run_that_is_run_again_goes_on_under_its_own_cap(gateways: Sandbox, tmp_path: Path) -> None:
    """A resumed run neither gets a new cap nor another one: what it reserved counts."""
    catalog = products(tmp_path / "c.csv", 10)
    first = asyncio.run(go(settings(catalog, tmp_path / "a", gateways=["evolink"], max_usd=CAP), "one-run"))
    again = asyncio.run(go(settings(catalog, tmp_path / "a", gateways=["evolink"], max_usd=Decimal(5)), "one-run"))
    assert first.statuses() == again.statuses() == {"archived": 3, "deferred": 7}
    assert submissions(gateways) == 3
    assert again.summary.billed_usd == first.summary.billed_usd
    assert_bill(gateways, again)


def test_money_that_comes_back_is_spent_again_under_the_same_cap(gateways: Sandbox, tmp_path: Path) -> None:
    """A reservation of a task that failed unbilled, or cost less, makes room for others in the same run."""
    gateways.faults([fault("evolink", "task_cancelled", count=2)])  # whichever come first: rows are bought side by side
    catalog = products(tmp_path / "c.csv", 5)
    ran = run(catalog, tmp_path / "a", gateways=["evolink"], max_usd=CAP)
    assert ran.statuses() == {"archived": 3, "cancelled": 2}
    assert_bill(gateways, ran)


def test_a_disputed_price_is_reserved_at_its_highest(gateways: Sandbox, tmp_path: Path) -> None:
    """apiin at 0.024 or 0.12: a cap of 0.20 holds one such reservation at a time, and what is at risk counts on."""
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["apiin"], max_usd=Decimal("0.20"))
    assert ran.statuses() == {"archived": 1, "deferred": 2}
    assert ran.summary.quoted_usd == PRICE["apiin"]
    assert_bill(gateways, ran)


def test_a_cap_below_one_image_buys_nothing(gateways: Sandbox, tmp_path: Path) -> None:
    """Nothing fits, nothing is sent."""
    ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"], max_usd=Decimal("0.03"))
    assert ran.statuses() == {"deferred": 2}
    assert submissions(gateways) == 0
    assert_bill(gateways, ran)


def test_a_transient_failure_is_tried_once_more_in_the_run_and_again_in_the_next(
    gateways: Sandbox, tmp_path: Path
) -> None:
    """Certainly unbilled and transient: two attempts per slot and run, then failed; the next run buys it by itself."""
    gateways.faults([fault("evolink", "task_failed", "number 1")])
    catalog = products(tmp_path / "c.csv", 2)
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    record = first.one("p1")
    assert (record["status"], record["error_code"], record["attempts"]) == ("failed", "service_error", 2)
    assert record["billed_usd"] == record["at_risk_usd"] == 0
    assert_bill(gateways, first)
    gateways.faults([])
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert (second.one("p1")["status"], second.one("p1")["reason"]) == ("archived", "retried")
    assert second.one("p1")["attempts"] == 3
    assert_bill(gateways, first, second)


def test_a_job_of_several_calls_loses_only_the_call_that_failed(gateways: Sandbox, tmp_path: Path) -> None:
    """getimg makes three calls for n=3; one refusal leaves two images, a partial record, and one slot for --retry."""
    gateways.faults([fault("getimg", "reject_content", count=1)])
    catalog = write_catalog(tmp_path / "c.csv", {"sku": "p", "prompt": "Three", "n": 3})
    first = run(catalog, tmp_path / "a", gateways=["getimg"])
    assert (first.one("p")["status"], first.one("p")["image_count"]) == ("partial", 2)
    assert first.one("p")["error_code"] == "content_policy_violation"
    second = run(catalog, tmp_path / "a", gateways=["getimg"], retry=("failed",))
    assert (second.one("p")["status"], second.one("p")["image_count"]) == ("archived", 3)
    assert second.summary.billed_usd == PRICE["getimg"]
    assert len(calls(gateways)) == 3
    assert bought(gateways) == {"Three": 3}
    assert_bill(gateways, first, second)


def test_the_calls_of_one_bad_moment_do_not_lengthen_the_outage() -> None:
    """Calls that were under way when the breaker opened fail together; only a probe that fails doubles the cool-down."""
    breaker = Breaker(failures=5, cool_s=5.0, longest_s=60.0)
    for _ in range(25):
        breaker.failed(now=100.0)
    assert breaker.is_open
    assert breaker.probe_in(now=100.0) == 5.0
