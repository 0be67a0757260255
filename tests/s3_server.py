"""A real S3 server (moto's) on loopback, which counts requests and fails on demand."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

BUCKET = "shop"
KEY_ID, SECRET = "AKIAEXAMPLEEXAMPLE00", "example/secret+of/an+account/0123456789abcd"


@dataclass
class Trouble:
    """Requests that are answered with an error instead of being carried out (or, with `after`, once they were)."""

    status: int
    code: str
    method: str
    match: str = ""  # in path or query
    count: int = 1_000_000
    after: bool = False


@dataclass
class S3:
    """The server. `requests` counts what arrived, by method and kind."""

    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    troubles: list[Trouble] = field(default_factory=list)
    hook: Callable[[str, str], None] | None = None  # called with method and path before a request is carried out
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self) -> Any:
        """boto3's own client: an independent look at what is stored."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def objects(self, prefix: str = "") -> list[str]:
        """Every object of the bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", ()))

    def body(self, key: str) -> bytes:
        """One object."""
        return bytes(self.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def unfinished_uploads(self) -> list[str]:
        """Multipart uploads that were neither completed nor taken back."""
        return [each["Key"] for each in self.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def fail(
        self, status: int, code: str, method: str, match: str = "", count: int = 1_000_000, after: bool = False
    ) -> None:
        """Answer the next requests of this kind with an error."""
        self.troubles.append(Trouble(status, code, method, match, count, after))

    def reset(self) -> None:
        """An empty bucket, fair weather."""
        self.troubles.clear()
        self.hook = None
        client = self.client()
        if any(each["Name"] == BUCKET for each in client.list_buckets()["Buckets"]):
            for key in self.objects():
                client.delete_object(Bucket=BUCKET, Key=key)
        else:
            client.create_bucket(Bucket=BUCKET)
        self.requests.clear()

    def trouble_for(self, method: str, where: str) -> Trouble | None:
        """What goes wrong with this request, counted."""
        with self._lock:
            for each in self.troubles:
                if each.method == method and each.match in where and each.count > 0:
                    each.count -= 1
                    return each
        return None


class _Weather:
    def __init__(self, inner: Any, server: S3) -> None:
        self._inner = inner
        self._server = server

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path, query = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        kind = "LIST" if "list-type" in parse_qs(query, keep_blank_values=True) else method
        self._server.requests[kind] += 1
        if self._server.hook is not None:
            self._server.hook(method, path)
        trouble = self._server.trouble_for(method, f"{path}?{query}")
        if trouble is None:
            return self._inner(environ, start_response)  # type: ignore[no-any-return]
        if trouble.after:
            b"".join(self._inner(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>{trouble.code}</Code><Message>on demand</Message></Error>".encode()
        start_response(f"{trouble.status} X", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [b"" if method == "HEAD" else body]


@contextmanager
def start_s3() -> Iterator[S3]:
    """The server, with an empty bucket."""
    server = S3()
    http: BaseWSGIServer = make_server(
        "127.0.0.1",
        0,
        _Weather(DomainDispatcherApplication(create_backend_app), server),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        server.reset()
        yield server
    finally:
        http.shutdown()
        thread.join()
