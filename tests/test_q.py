import pytest
from runs import *


@pytest.mark.parametrize("g", ["evolink", "gccai", "getimg", "apiin"])
def test_g(gateways, tmp_path, g):
    r = run(products(tmp_path / "c.csv", 4, n=2), tmp_path / "a", gateways=[g])
    print(r.statuses(), r.summary.as_json())
    assert_bill(gateways, r)
    assert r.summary.complete
    r2 = run(products(tmp_path / "c.csv", 4, n=2), tmp_path / "a", gateways=[g])
    assert r2.summary.billed_usd == 0 and r2.summary.reused == 4
    r3 = run(products(tmp_path / "c.csv", 4, n=3), tmp_path / "a", gateways=[g])
    print(r3.summary.as_json())
    assert r3.one("p0")["reason"] == "more_images"
    assert_bill(gateways, r, r2, r3)


@pytest.mark.parametrize(
    "kind",
    [
        "refuse_connection",
        "reject_429",
        "http_503",
        "reject_401",
        "reject_402",
        "reject_model",
        "reject_content",
        "http_500",
        "http_502",
        "drop_request",
        "http_502_accepted",
        "drop_response",
        "garbage_json",
        "status_500",
        "status_garbage",
        "status_429",
        "task_failed",
        "task_cancelled",
        "task_failed_billed",
        "fewer_images",
        "other_price",
        "other_model",
        "download_500",
        "expired_link",
        "corrupt_image",
        "wrong_type",
        "huge_image",
    ],
)
@pytest.mark.parametrize("g", ["evolink", "gccai", "getimg", "apiin"])
def test_f(gateways, tmp_path, g, kind):
    gateways.faults(
        [
            {
                "gateway": g,
                "kind": kind,
                "match": "number 1",
                "rate": 1,
                "count": 1,
                "value": 0.2 if kind in ("reject_429", "http_503", "refuse_connection") else None,
            }
        ]
    )
    r = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=[g], wait_s=20)
    rec = r.one("p1")
    print(
        "RESULT",
        g,
        kind,
        rec["status"],
        rec["error_code"],
        rec["billed_usd"],
        rec["at_risk_usd"],
        rec["warnings"],
        rec["attempts"],
        gateways.bill()["usd"],
    )
    assert_bill(gateways, r)
