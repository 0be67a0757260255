"""Images are looked at while they are archived: shapes, dead links and the depth of the check in whole runs."""

import io
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from runs import products, run, write_catalog
from sandbox_process import Sandbox
from witness import photo


def test_an_expired_image_says_by_how_much_it_was_missed(gateways: Sandbox, tmp_path: Path) -> None:
    """The record of a link that died before the copy names its end and the hours since."""
    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    catalog = products(tmp_path / "c.csv", 1)
    run(catalog, tmp_path / "a", gateways=["evolink"], wait_s=0.2)
    gateways.advance(3700)
    gateways.faults([{"gateway": "*", "kind": "expired_link", "rate": 1}])
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"expired": 1}
    assert "the link answers HTTP" in ran.one("p0")["error_message"]


@pytest.mark.parametrize(("depth", "status"), [("full", "failed"), ("header", "archived")])
def test_the_depth_of_the_check_is_a_setting(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: str, status: str
) -> None:
    """A damaged image does not pass a full check; where the header is believed, it does."""
    monkeypatch.setenv("SEEDREAM_VERIFY", depth)
    gateways.faults([{"gateway": "*", "kind": "corrupt_image", "rate": 1}])
    ran = run(products(tmp_path / "c.csv", 1), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {status: 1}


def test_what_the_sandbox_draws_is_neither_blank_nor_its_photograph(gateways: Sandbox, tmp_path: Path) -> None:
    """No warning where there is nothing to warn of."""
    photo(tmp_path / "p.png", side=400)
    catalog = write_catalog(
        tmp_path / "c.csv", {"sku": "a", "prompt": "On white", "operation": "edit", "references": "p.png"}
    )
    ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.one("a")["warnings"] == []


@contextmanager
def delivering(content: bytes) -> Iterator[str]:
    """A gateway in EvoLink's dialect that delivers these bytes for whatever is asked; its base URL."""
    numbers = itertools.count(1)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
            if self.path == "/image":
                return self._answer(content, "image/jpeg")
            if self.path == "/v1/credits":
                return self._say({"success": True, "data": {"user": {"remaining_credits": 100}}})
            task = self.path.rpartition("/")[2]
            return self._say({"id": task, "status": "completed", "results": [f"{base}/image"]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/files/"):
                base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
                file = {"file_id": "f1", "file_url": f"{base}/image", "expires_at": "2099-01-01T00:00:00Z"}
                return self._say({"success": True, "code": 200, "data": file})
            task = f"task-unified-{next(numbers)}"
            return self._say({"id": task, "status": "pending", "task_info": {"estimated_time": 0}})

        def _say(self, value: object) -> None:
            self._answer(json.dumps(value).encode(), "application/json")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(("delivered", "warning"), [("photograph", "no_op_edit"), ("canvas", "blank")])
def test_what_the_gateway_made_of_a_photograph_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delivered: str, warning: str
) -> None:
    """A photograph that comes back as it went, and an empty canvas, are archived with a warning: they are paid for."""
    image = Image.radial_gradient("L").resize((600, 600)).convert("RGB")
    image.save(tmp_path / "p.png")
    file = io.BytesIO()
    (image if delivered == "photograph" else Image.new("RGB", (600, 600), "white")).save(file, "JPEG", quality=85)
    row = {"sku": "a", "prompt": "On white", "operation": "edit", "references": "p.png"}
    catalog = write_catalog(tmp_path / "c.csv", row)
    with delivering(file.getvalue()) as base:
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "key-of-a-test")
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", base)
        ran = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert ran.one("a")["status"] == "archived"
    assert ran.one("a")["warnings"] == [warning]


def test_images_with_the_same_bytes_name_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three products, one image: each record says whose it is as well, in this run's manifest and in the next one's."""
    file = io.BytesIO()
    Image.radial_gradient("L").resize((600, 600)).convert("RGB").save(file, "JPEG", quality=85)
    with delivering(file.getvalue()) as base:
        monkeypatch.setenv("SEEDREAM_EVOLINK_API_KEY", "key-of-a-test")
        monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", base)
        first = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"])
        again = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"])
    for ran in (first, again):
        assert ran.statuses() == {"archived": 3}
        for record in ran.records:
            others = {f"same_as: {each['row_key']}/image" for each in ran.records} - {
                f"same_as: {record['row_key']}/image"
            }
            assert len(record["warnings"]) == 1
            assert record["warnings"][0] in others
    assert again.summary.reused == 3
