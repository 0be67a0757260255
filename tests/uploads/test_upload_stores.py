"""An object that is put into a bucket becomes one event: S3, SNS and the way between them and us as moto's server has them."""

from pathlib import Path
from typing import Any

import boto3
from prefect_listener import PrefectListener
from s3_server import BUCKET, KEY_ID, S3, SECRET
from serving import UPLOAD_SECRET, Serve


def topic_that_calls(s3: S3, endpoint: str) -> str:
    """A topic on the same server with one subscriber; returns its ARN."""
    sns: Any = boto3.client(
        "sns",
        endpoint_url=s3.url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    topic = str(sns.create_topic(Name="uploads")["TopicArn"])
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint)
    return topic


def test_what_is_put_into_a_bucket_is_told_through_sns_once(prefect: PrefectListener, s3: S3, tmp_path: Path) -> None:
    """A catalog whose name needs encoding, put twice, and a photo: one event, with the object's address and size.

    SNS has no header to send a secret in, so it stands in the address as its password.
    """
    with Serve(tmp_path / "archive") as serve:
        topic = topic_that_calls(s3, f"{serve.url.replace('://', f'://any:{UPLOAD_SECRET}@')}/uploads/s3")
        told = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
        store = s3.client()
        store.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=told)
        try:
            for key in ("in/photo.jpg", "in/my goods+1.csv", "in/my goods+1.csv", "in/more.csv"):
                store.put_object(Bucket=BUCKET, Key=key, Body=b"sku,prompt\na,x\n")
            found = prefect.wait_for(2)
        finally:
            store.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    assert found == [
        {"uri": f"s3://shop/in/{name}", "digest": None, "size": 15, "name": name}
        for name in ("my goods+1.csv", "more.csv")
    ]
