"""Bodies of upload notices: the envelopes of stores and queues, and what is refused."""

import json
from typing import Any

import pytest

from seedream_tasks.core.errors import InputError
from seedream_tasks.ledger.catalog_uploads import CatalogUpload
from seedream_tasks.uploads.notices import Confirmation, plain_notice, store_notice


def record(key: str, event: str = "ObjectCreated:Put", **thing: Any) -> dict[str, Any]:
    """A record as S3 writes it."""
    where = {"bucket": {"name": "shop"}, "object": {"key": key, "size": 12, "eTag": "e1", **thing}}
    return {"eventSource": "aws:s3", "eventName": event, "s3": where}


def sns(message: Any, kind: str = "Notification") -> dict[str, Any]:
    """An SNS envelope."""
    return {"Type": kind, "TopicArn": "arn:aws:sns:eu-central-1:1:up", "Message": json.dumps(message)}


def event_bridge(key: str, what: str = "Object Created") -> dict[str, Any]:
    """An EventBridge envelope."""
    detail = {"bucket": {"name": "shop"}, "object": {"key": key, "size": 12, "etag": "e1"}}
    return {"version": "0", "source": "aws.s3", "detail-type": what, "detail": detail}


GOODS = CatalogUpload("s3://shop/in/my goods+1.csv", "my goods+1.csv", None, "e1", 12)
ENCODED = "in/my+goods%2B1.csv"


@pytest.mark.parametrize(
    "body",
    [
        {"Records": [record(ENCODED)]},
        {"EventName": "s3:ObjectCreated:Put", "Key": "shop/x", "Records": [record(ENCODED, "s3:ObjectCreated:Put")]},
        {"Records": [record(ENCODED, "ObjectCreated:CompleteMultipartUpload")]},
        sns({"Records": [record(ENCODED)]}),
        sns(event_bridge("in/my goods+1.csv")),
        event_bridge("in/my goods+1.csv"),
    ],
    ids=["s3", "minio", "multipart", "sns", "sns of eventbridge", "eventbridge"],
)
def test_every_envelope_says_the_same(body: dict[str, Any]) -> None:
    """Keys are decoded where the sender encodes them; the ETag tells contents apart."""
    assert store_notice(body) == [GOODS]


def test_only_created_objects_that_are_catalogs_count() -> None:
    """Removed objects, photos and folder markers in the same bucket are passed over; several records are several uploads."""
    records = [
        record("a.csv"),
        record("a.csv", "ObjectRemoved:Delete"),
        record("photo.jpg"),
        record("folder/"),
        record("b.parquet", "ObjectCreated:Copy"),
    ]
    found = store_notice({"Records": records})
    assert isinstance(found, list)
    assert [each.uri for each in found] == ["s3://shop/a.csv", "s3://shop/b.parquet"]
    assert store_notice(event_bridge("a.csv", "Object Deleted")) == []
    assert store_notice({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "shop"}) == []


def test_a_subscription_is_told_not_confirmed() -> None:
    """SNS asks first; its address is handed to a person."""
    body = sns("You have chosen to subscribe", "SubscriptionConfirmation") | {"SubscribeURL": "https://sns/confirm"}
    assert store_notice(body) == Confirmation("arn:aws:sns:eu-central-1:1:up", "https://sns/confirm")


@pytest.mark.parametrize(
    "body",
    [
        [],
        "text",
        {},
        {"Records": [{}]},
        {"Records": [record("a.csv") | {"s3": None}]},
        {"Records": ["x"]},
        sns("no object"),
        sns(sns(sns({"Records": []}))),
        {"Type": "Notification", "TopicArn": "x", "Message": "{"},
        {"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {}}},
    ],
)
def test_anything_else_is_refused(body: Any) -> None:
    """A body that is no notice is an error that says so, never an upload."""
    with pytest.raises(InputError):
        store_notice(body)


def test_a_plain_notice_needs_only_the_address() -> None:
    """A local file has one spelling; the name is the file's."""
    assert plain_notice({"uri": "/data/in/../in/goods.csv"}) == plain_notice({"uri": "/data/in/goods.csv"})
    assert plain_notice({"uri": "s3://shop/in/goods.csv"}).name == "goods.csv"
    for uri in (
        "s3://12345/goods.csv",
        "gs://metadata/goods.csv",
        "https://shop.example/goods.csv",
        "http://files.local/goods.csv",
    ):
        assert plain_notice({"uri": uri}).uri == uri
    full = plain_notice({"uri": "/a.csv", "digest": "sha256:" + "AB" * 32, "size": 3, "name": "Shop A"})
    assert full == CatalogUpload("/a.csv", "Shop A", "ab" * 32, None, 3)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "uri"),
        ({"uri": ""}, "uri"),
        ({"uri": 7}, "uri"),
        ({"uri": "goods.csv"}, "uri"),
        ({"uri": "/a.csv", "digest": "abc"}, "digest"),
        ({"uri": "/a.csv", "size": -1}, "size"),
        ({"uri": "/a.csv", "size": True}, "size"),
        ({"uri": "/a.csv", "sha256": "ab" * 32}, "sha256"),
        ({"uri": "/" + "a" * 5000}, "uri"),
        *(
            ({"uri": f"http://{host}/a.csv"}, "uri")
            for host in (
                "127.1",
                "2130706433",
                "0x7f.0.0.1",
                "0177.0.0.1",
                "localhost.",
                "LOCALHOST",
                "x.localhost",
                "localhost.localdomain",
                "[::1]",
                "[::ffff:127.0.0.1]",
                "[fe80::1%25eth0]",
                "0.0.0.0",
                "169.254.169.254.",
                "metadata.google.internal",
            )
        ),
        *(
            ({"uri": f"{scheme}://169.254.169.254/a.csv"}, "uri")
            for scheme in ("ftp", "sftp", "webhdfs", "HTTPS", "smb")
        ),
    ],
)
def test_a_wrong_plain_notice_names_the_field(body: dict[str, Any], field: str) -> None:
    """Whoever sends a wrong notice learns which field it is."""
    with pytest.raises(InputError) as caught:
        plain_notice(body)
    assert caught.value.facts["field"] == field
