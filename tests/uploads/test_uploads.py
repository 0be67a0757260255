"""Upload notices over real HTTP: who is let in, what is kept, and that each content is announced once."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect_listener import PrefectListener
from serving import UPLOAD_SECRET, Serve
from sqlalchemy import Connection
from test_upload_notices import record, sns
from waiting import until

from seedream_tasks.ledger.catalog_uploads import CatalogUpload, Waiting, identified, noticed, unannounced
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.uploads.announce import PrefectApi, announce_waiting
from seedream_tasks.uploads.scan import read_digest

BEARER = {"Authorization": f"Bearer {UPLOAD_SECRET}"}


def post(serve: Serve, body: Any, path: str = "/uploads", **options: Any) -> httpx.Response:
    """One notice."""
    return serve.http.post(path, json=body, headers=options.pop("headers", BEARER), **options)


def test_one_upload_announced_five_times_is_one_event(prefect: PrefectListener, tmp_path: Path) -> None:
    """However it is announced: once per content, with the digest of the file; a new content is a new event."""
    file = tmp_path / "goods.csv"
    file.write_text("sku,prompt\na,x\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with Serve(tmp_path / "archive") as serve:
        for _ in range(3):
            assert post(serve, {"uri": str(file)}).status_code == 202
        assert prefect.wait_for(1) == [{"uri": str(file), "digest": digest, "size": 15, "name": "goods.csv"}]
        assert post(serve, {"uri": f"{file.parent}/./{file.name}"}).status_code == 202
        assert post(serve, {"uri": str(file), "digest": digest}).json() == {"ok": True, "new": 0, "known": 1}
        file.write_text("sku,prompt\na,y\n")
        post(serve, {"uri": str(file)})
        new = hashlib.sha256(file.read_bytes()).hexdigest()
        assert [each["digest"] for each in prefect.wait_for(2)] == [digest, new]
    assert {each["event"] for each in prefect.taken} == {"seedream.catalog.uploaded"}
    assert {each["resource"]["prefect.resource.id"] for each in prefect.taken} == {"seedream.catalog.goods-csv"}


def test_a_notice_that_comes_while_the_file_is_read_is_not_announced_unread(
    prefect: PrefectListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be another by then, so it is read again; the same content is still one event, and has its digest."""
    file = tmp_path / "goods.csv"
    file.write_text("sku\n")
    notice = CatalogUpload(str(file), "goods.csv")
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", create=True)

    def told_while_it_reads(uri: str) -> tuple[str, int]:
        read = read_digest(uri)
        ledger.write_now(lambda connection: noticed(connection, notice))
        return read

    def told_once_it_has_read(connection: Connection, waiting: Waiting, read: CatalogUpload) -> None:
        identified(connection, waiting, read)
        noticed(connection, notice)

    ledger.write_now(lambda connection: noticed(connection, notice))
    for name, moment in (("identified", told_once_it_has_read), ("read_digest", told_while_it_reads)):
        with monkeypatch.context() as patch:
            patch.setattr(f"seedream_tasks.uploads.announce.{name}", moment)
            asyncio.run(announce_waiting(ledger, PrefectApi.at(prefect.url)))
    asyncio.run(announce_waiting(ledger, PrefectApi.at(prefect.url)))
    assert [each["digest"] for each in prefect.payloads()] == [hashlib.sha256(b"sku\n").hexdigest()]
    assert ledger.read_now(unannounced) == []
    ledger.close()


def test_a_store_notice_is_announced_by_its_etag(prefect: PrefectListener, tmp_path: Path) -> None:
    """The same object, plain, through SNS and sent again, is one event; another ETag is another content."""
    with Serve(tmp_path / "archive") as serve:
        for body in ({"Records": [record("goods.csv")]}, sns({"Records": [record("goods.csv")]})):
            assert post(serve, body, "/uploads/s3").status_code == 202
        answer = post(serve, {"Records": [record("goods.csv", eTag="e2"), record("more.csv")]}, "/uploads/s3")
        assert answer.json() == {"ok": True, "new": 2, "known": 0}
        found = prefect.wait_for(3)
    assert sorted(each["uri"] for each in found) == ["s3://shop/goods.csv", "s3://shop/goods.csv", "s3://shop/more.csv"]
    assert {each["digest"] for each in found} == {None}


@pytest.mark.parametrize("path", ["/uploads", "/uploads/s3"])
def test_without_the_secret_nothing_is_kept(prefect: PrefectListener, tmp_path: Path, path: str) -> None:
    """Wrong, missing or half a secret: 401, whatever the body; as password of Basic, as SNS sends it, it is let in."""
    body = {"uri": "/a.csv"} if path == "/uploads" else {"Records": [record("a.csv")]}
    with Serve(tmp_path / "archive") as serve:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": UPLOAD_SECRET},
            {"Authorization": "Basic %"},
        ):
            refused = post(serve, body, path, headers=headers)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        basic = base64.b64encode(f"sns:{UPLOAD_SECRET}".encode()).decode()
        assert post(serve, body, path, headers={"Authorization": f"Basic {basic}"}).json()["new"] == 1


def test_without_a_secret_of_its_own_serve_takes_no_upload(tmp_path: Path) -> None:
    """503 with the reason; callbacks are taken all the same."""
    with Serve(tmp_path / "archive") as serve:
        answer = post(serve, {"uri": "/a.csv"})
        assert answer.status_code == 503
        assert "SEEDREAM_UPLOAD_SECRET is not set" in answer.json()["error"]["message"]
        assert serve.http.get("/health").status_code == 200


def test_wrong_bodies_are_refused_with_the_reason(prefect: PrefectListener, tmp_path: Path) -> None:
    """No JSON, too deep, or a wrong field: 400, nothing is kept, nothing falls over."""
    with Serve(tmp_path / "archive") as serve:
        for content in (b"", b"{", b"\xff", b"[" * 100_000, b'{"uri": "/a.csv", "size": -1}'):
            assert serve.http.post("/uploads", content=content, headers=BEARER).status_code == 400
        assert post(serve, {"uri": "/a.csv", "digest": "x"}).json()["error"]["field"] == "digest"
    assert prefect.asked == 0


def test_what_prefect_could_not_take_is_announced_later(prefect: PrefectListener, tmp_path: Path) -> None:
    """Prefect is away, serve is restarted: the upload is kept, and announced once when Prefect answers."""
    prefect.refuses = True
    with Serve(tmp_path / "archive") as serve:
        assert post(serve, {"uri": "s3://shop/goods.csv", "digest": "ab" * 32}).status_code == 202
        until(lambda: prefect.asked, "serve has tried")
    prefect.refuses = False
    with Serve(tmp_path / "archive") as serve:
        assert prefect.wait_for(1)[0]["uri"] == "s3://shop/goods.csv"
        assert post(serve, {"uri": "s3://shop/goods.csv", "digest": "ab" * 32}).json()["known"] == 1
    assert len(prefect.taken) == 1


def test_a_subscription_address_is_logged_and_not_fetched(prefect: PrefectListener, tmp_path: Path) -> None:
    """The address to confirm an SNS subscription at stands in the log, with what to do."""
    body = sns("x", "SubscriptionConfirmation") | {"SubscribeURL": f"{prefect.url}/confirm?Action=Confirm&Token=2336"}
    with Serve(tmp_path / "archive") as serve:
        assert post(serve, body, "/uploads/s3").status_code == 200
    assert f"{prefect.url}/confirm?Action=Confirm&Token=2336" in serve.said
    assert "open this address once" in serve.said
    assert prefect.asked == 0
