"""References: found where they may be, told from what only looks like an image, and remembered by what they are."""

import base64
import hashlib
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
from drawn import image

from seedream_tasks.core.errors import ConfigurationError, ReferenceFault
from seedream_tasks.core.jobs import Reference
from seedream_tasks.references.address_guard import AllowedHosts
from seedream_tasks.references.places import parse_roots, without_signature
from seedream_tasks.references.reader import References, Remembered, data_uri, file_name

RED, BLUE = image("red"), image("blue")
HTML = b"<!DOCTYPE html><html><body>Not here</body></html>"


def described(uri: str, content: bytes, kind: str = "JPEG") -> Reference:
    """What must be found of these bytes."""
    return Reference(uri, hashlib.sha256(content).hexdigest(), kind, 60, 40, len(content), public=False)


Reader = Callable[[str], References]


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Makes readers for a catalog's URI, closed at the end."""
    made: list[References] = []

    def make(catalog: str) -> References:
        made.append(References(catalog, AllowedHosts.parse("127.0.0.1")))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalog's folder with an image in it, and one outside of it."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "lamp.jpg").write_bytes(RED)
    (folder / "catalog.csv").write_text("sku\na\n")
    (tmp_path / "secret.jpg").write_bytes(BLUE)
    (tmp_path / "shop-secrets").mkdir()
    (tmp_path / "shop-secrets" / "key.jpg").write_bytes(BLUE)
    with zipfile.ZipFile(tmp_path / "secrets.zip", "w") as archive:
        archive.writestr("key.jpg", BLUE)
    return folder


def refusal(references: References, uri: str) -> ReferenceFault:
    """The fault that looking ends with."""
    with pytest.raises(ReferenceFault) as caught:
        references.look(uri)
    assert caught.value.facts["uri"] == uri
    return caught.value


# In the cell itself


def test_a_data_uri_is_its_own_content(shop: Path, reader: Reader) -> None:
    """Fingerprint and measures are those of the bytes, not of the text."""
    uri = data_uri(RED, "image/jpeg")
    references = reader(str(shop / "catalog.csv"))
    found, etag = references.look(uri)
    assert (found, etag) == (described(uri, RED), None)
    assert references.content(found) == RED
    assert not references.is_remote(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/jpeg;base64",
        "data:image/jpeg;base64,%%%",
        "data:image/jpeg;base64,AAA",
        "data:,just text",
        "data:text/html;base64," + base64.b64encode(HTML).decode(),
    ],
)
def test_a_broken_data_uri_is_a_fault(uri: str, shop: Path, reader: Reader) -> None:
    """It ends one record; the message does not repeat the data."""
    assert len(refusal(reader(str(shop / "catalog.csv")), uri).message) < 200


# Beside the catalog


@pytest.mark.parametrize("uri", ["images/lamp.jpg", "./images/lamp.jpg", "images/../images/lamp.jpg"])
def test_a_path_is_relative_to_the_catalog(uri: str, shop: Path, reader: Reader) -> None:
    """Wherever the command was started."""
    references = reader(str(shop / "catalog.csv"))
    assert references.look(uri) == (described(uri, RED), None)
    assert not references.is_remote(uri)


def test_an_absolute_path_below_the_catalog_is_below_the_catalog(shop: Path, reader: Reader) -> None:
    """As a path and as a file URI; the catalog's own URI may be one too."""
    references = reader(f"file://{shop}/catalog.csv")
    for uri in (f"{shop}/images/lamp.jpg", f"file://{shop}/images/lamp.jpg"):
        assert references.look(uri)[0] == described(uri, RED)


def outside(shop: Path) -> dict[str, str]:
    """Ways out of the catalog's folder, all to images that exist."""
    secret = shop.parent / "secret.jpg"
    return {
        "parent": "../secret.jpg",
        "parent from below": "images/../../secret.jpg",
        "sibling with the same beginning": "../shop-secrets/key.jpg",
        "absolute": str(secret),
        "absolute with dots": f"{shop}/../secret.jpg",
        "file URI": f"file://{secret}",
        "file URI with dots": f"file://{shop}/../secret.jpg",
        "another name for the local file system": f"local://{secret}",
        "in capitals": f"LOCAL://{secret}",
        "inside an archive": f"zip://key.jpg::file://{shop.parent}/secrets.zip",
        "inside an archive without a scheme": f"zip://key.jpg::{shop.parent}/secrets.zip",
        "through a cache": f"simplecache::file://{secret}",
    }


@pytest.mark.parametrize("way", outside(Path("/shop")))
def test_a_reference_cannot_leave_the_catalogs_folder(way: str, shop: Path, reader: Reader) -> None:
    """A catalog comes from elsewhere, and must not be able to name any file of this machine."""
    with pytest.raises(ReferenceFault):
        reader(str(shop / "catalog.csv")).look(outside(shop)[way])


@pytest.mark.parametrize("way", ["parent", "absolute", "file URI"])
def test_the_refusal_says_why(way: str, shop: Path, reader: Reader) -> None:
    """With a code of its own, however real the file is."""
    fault = refusal(reader(str(shop / "catalog.csv")), outside(shop)[way])
    assert fault.facts["error_code"] == "reference_outside"
    assert "outside the catalog's folder" in fault.message


@pytest.mark.parametrize("way", ["parent", "absolute", "file URI", "another name for the local file system"])
def test_content_is_not_handed_out_either(way: str, shop: Path, reader: Reader) -> None:
    """Not even for a reference that claims to have been looked at."""
    uri = outside(shop)[way]
    with pytest.raises(ReferenceFault):
        reader(str(shop / "catalog.csv")).content(described(uri, BLUE))


def test_a_link_out_of_the_folder_leads_out_of_it(shop: Path, reader: Reader) -> None:
    """Symbolic links are followed before the check; those that stay inside are fine."""
    (shop / "images" / "out.jpg").symlink_to(shop.parent / "secret.jpg")
    (shop / "images" / "in.jpg").symlink_to(shop / "images" / "lamp.jpg")
    (shop / "all").symlink_to(shop.parent)
    references = reader(str(shop / "catalog.csv"))
    for uri in ("images/out.jpg", "all/secret.jpg"):
        assert refusal(references, uri).facts["error_code"] == "reference_outside"
    assert references.look("images/in.jpg")[0] == described("images/in.jpg", RED)


def test_a_catalog_reached_through_a_link_still_finds_its_images(shop: Path, reader: Reader) -> None:
    """Both sides of the check are resolved."""
    (shop.parent / "current").symlink_to(shop)
    references = reader(str(shop.parent / "current" / "catalog.csv"))
    assert references.look("images/lamp.jpg")[0] == described("images/lamp.jpg", RED)


def test_a_missing_file_is_a_fault(shop: Path, reader: Reader) -> None:
    """It names the reference."""
    assert (
        "images/chair.jpg: there is no such file"
        in refusal(reader(str(shop / "catalog.csv")), "images/chair.jpg").message
    )


@pytest.mark.parametrize("uri", ["images", "", ".", "images/lamp.jpg\x00.png"])
def test_what_is_no_file_is_a_fault(uri: str, shop: Path, reader: Reader) -> None:
    """A folder, nothing, a name with a zero byte: one bad reference."""
    assert refusal(reader(str(shop / "catalog.csv")), uri).message


def test_a_web_page_that_is_called_jpg_is_a_fault(shop: Path, reader: Reader) -> None:
    """The content decides; no gateway is paid to look at an error page."""
    (shop / "images" / "lamp.jpg").write_bytes(HTML)
    fault = refusal(reader(str(shop / "catalog.csv")), "images/lamp.jpg")
    assert fault.facts["error_code"] == "reference_unreadable"
    assert "<!DOCTYPE html>" in fault.message


def test_a_catalog_in_a_store_has_its_images_there(reader: Reader, tmp_path: Path) -> None:
    """Relative paths lead into the same store, below the catalog's folder, and never to this machine."""
    store = fsspec.filesystem("memory")
    store.pipe_file(f"/{tmp_path.name}/shop/images/lamp.jpg", RED)
    store.pipe_file(f"/{tmp_path.name}/secret.jpg", BLUE)
    references = reader(f"memory://{tmp_path.name}/shop/catalog.csv")
    assert references.look("images/lamp.jpg")[0] == described("images/lamp.jpg", RED)
    (tmp_path / "here.jpg").write_bytes(BLUE)
    for uri in ("../secret.jpg", "images/../../secret.jpg", f"{tmp_path}/here.jpg", f"file://{tmp_path}/here.jpg"):
        assert refusal(references, uri).facts["error_code"] == "reference_outside"


def test_further_folders_are_opened_by_a_setting_only(shop: Path) -> None:
    """SEEDREAM_REFERENCE_ROOTS names them; a catalog's path must then be absolute, and what is beside them stays closed."""
    (shop.parent / "shop-secrets" / "out.jpg").symlink_to(shop.parent / "secret.jpg")
    roots = parse_roots(f"{shop.parent / 'shop-secrets'}{os.pathsep}")
    references = References(str(shop / "catalog.csv"), roots=roots)
    key = str(shop.parent / "shop-secrets" / "key.jpg")
    for uri in (key, f"file://{key}"):
        assert references.look(uri)[0] == described(uri, BLUE)
    for uri in (
        "../shop-secrets/key.jpg",
        str(shop.parent / "secret.jpg"),
        str(shop.parent / "shop-secrets" / "out.jpg"),
    ):
        assert outcome_code(references, uri) == "reference_outside"
    assert references.look("images/lamp.jpg")[0] == described("images/lamp.jpg", RED)
    references.close()


def outcome_code(references: References, uri: str) -> str:
    """`found`, or the error code."""
    try:
        references.look(uri)
    except ReferenceFault as fault:
        return str(fault.facts["error_code"])
    return "found"


@pytest.mark.parametrize("text", ["photos", "/no/such/folder", "./photos:/tmp"])
def test_a_root_that_is_none_is_an_error(text: str) -> None:
    """Exit 2, rather than a folder that nobody meant."""
    with pytest.raises(ConfigurationError, match="SEEDREAM_REFERENCE_ROOTS"):
        parse_roots(text)


# On the web


@dataclass
class Web:
    """A web server on loopback: what it has, and what it was asked."""

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, If-None-Match
    etags: bool = True


@pytest.fixture
def web() -> Iterator[Web]:
    """Runs for one test."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            condition = self.headers.get("If-None-Match")
            state.asked.append((self.path, condition))
            path = self.path.split("?")[0]
            content = state.files.get(path, b"")
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            status = state.statuses.get(path) or (404 if path not in state.files else 200)
            if status == 200 and state.etags and condition == etag:
                status = 304
            self.send_response(status)
            if state.etags:
                self.send_header("ETag", etag)
            body = content if status == 200 else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.base = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_link_is_fetched_and_measured(web: Web, shop: Path, reader: Reader) -> None:
    """Once per run however many records share it: the bytes are kept for presenting them."""
    web.files["/lamp.jpg"] = RED
    uri = f"{web.base}/lamp.jpg"
    references = reader(str(shop / "catalog.csv"))
    found, etag = references.look(uri)
    assert found == described(uri, RED)
    assert etag
    assert references.content(found) == RED
    assert len(web.asked) == 1
    assert references.is_remote(uri)


def test_an_unchanged_link_is_asked_for_and_not_fetched(web: Web, shop: Path, reader: Reader) -> None:
    """What an earlier run remembers counts when the server says 304, under today's address."""
    web.files["/lamp.jpg"] = RED
    first, etag = reader(str(shop / "catalog.csv")).look(f"{web.base}/lamp.jpg?sig=monday")
    assert etag
    today = f"{web.base}/lamp.jpg?sig=tuesday"
    found = reader(str(shop / "catalog.csv")).look(today, Remembered(etag, first))
    assert found == (described(today, RED), etag)
    assert web.asked[-1] == ("/lamp.jpg?sig=tuesday", etag)


def test_a_changed_link_is_fetched_again(web: Web, shop: Path, reader: Reader) -> None:
    """Another image behind the same address is another fingerprint."""
    web.files["/lamp.jpg"] = RED
    uri = f"{web.base}/lamp.jpg"
    first, etag = reader(str(shop / "catalog.csv")).look(uri)
    assert etag
    web.files["/lamp.jpg"] = BLUE
    found, newer = reader(str(shop / "catalog.csv")).look(uri, Remembered(etag, first))
    assert found == described(uri, BLUE)
    assert newer != etag


def test_a_link_without_an_etag_is_fetched_each_run(web: Web, shop: Path, reader: Reader) -> None:
    """There is nothing to ask with: an empty condition is not sent."""
    web.etags = False
    web.files["/lamp.jpg"] = RED
    uri = f"{web.base}/lamp.jpg"
    first, etag = reader(str(shop / "catalog.csv")).look(uri)
    assert etag is None
    assert reader(str(shop / "catalog.csv")).look(uri, Remembered("", first))[0] == described(uri, RED)
    assert web.asked[-1] == ("/lamp.jpg", None)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503])
def test_a_link_that_answers_no_is_unreachable(status: int, web: Web, shop: Path, reader: Reader) -> None:
    """With the status, and without the signature."""
    web.statuses["/lamp.jpg"] = status
    uri = f"{web.base}/lamp.jpg?sig=secret"
    fault = refusal(reader(str(shop / "catalog.csv")), uri)
    assert fault.facts["error_code"] == "reference_unreachable"
    assert f"HTTP {status}" in fault.message
    assert "secret" not in fault.message


def test_a_web_page_behind_a_link_is_a_fault(web: Web, shop: Path, reader: Reader) -> None:
    """Shops answer 200 with a page that says not found."""
    web.files["/lamp.jpg"] = HTML
    fault = refusal(reader(str(shop / "catalog.csv")), f"{web.base}/lamp.jpg")
    assert fault.facts["error_code"] == "reference_unreadable"


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/lamp.jpg", "http://", "https://[half/lamp.jpg", "http://a b/c.jpg"]
)
def test_a_link_to_nowhere_is_unreachable(uri: str, shop: Path, reader: Reader) -> None:
    """Nobody there, or no address at all: one bad reference, not the end of the run."""
    assert refusal(reader(str(shop / "catalog.csv")), uri).facts["error_code"] == "reference_unreachable"


def test_a_file_that_changed_since_it_was_looked_at_is_refused(web: Web, shop: Path, reader: Reader) -> None:
    """What is presented must be what was fingerprinted, wherever it lies."""
    web.files["/lamp.jpg"] = RED
    for uri in ("images/lamp.jpg", f"{web.base}/lamp.jpg"):
        found, _ = reader(str(shop / "catalog.csv")).look(uri)
        (shop / "images" / "lamp.jpg").write_bytes(BLUE)
        web.files["/lamp.jpg"] = BLUE
        with pytest.raises(ReferenceFault, match="another file than when the run began") as caught:
            reader(str(shop / "catalog.csv")).content(found)
        assert caught.value.facts["error_code"] == "reference_changed"
        (shop / "images" / "lamp.jpg").write_bytes(RED)
        web.files["/lamp.jpg"] = RED


def test_what_was_read_in_this_run_does_not_change_under_it(shop: Path, reader: Reader) -> None:
    """The bytes that were fingerprinted are the bytes that are presented."""
    references = reader(str(shop / "catalog.csv"))
    found, _ = references.look("images/lamp.jpg")
    (shop / "images" / "lamp.jpg").write_bytes(BLUE)
    assert references.content(found) == RED


def test_a_catalog_on_the_web_has_its_images_there(web: Web, shop: Path, reader: Reader) -> None:
    """Beside it, fetched as any link: with a forecast that leaves them alone, and from addresses that are opened."""
    web.files["/shop/images/lamp.jpg"] = RED
    references = reader(f"{web.base}/shop/catalog.csv?token=x")
    assert references.is_remote("images/lamp.jpg")
    assert references.look("images/lamp.jpg")[0] == described("images/lamp.jpg", RED)
    assert refusal(references, "../secret.jpg").facts["error_code"] == "reference_outside"
    stranger = References(f"{web.base}/shop/catalog.csv")
    assert outcome_code(stranger, "images/lamp.jpg") == "reference_private"
    stranger.close()


# Names


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("https://s.example/a.jpg", "https://s.example/a.jpg"),
        ("https://s.example/a.jpg?v=1234&width=800", "https://s.example/a.jpg?v=1234&width=800"),
        (
            "https://b.s3.amazonaws.com/a.jpg?X-Amz-Algorithm=A&X-Amz-Date=D&X-Amz-Expires=9&X-Amz-Signature=S",
            "https://b.s3.amazonaws.com/a.jpg",
        ),
        ("https://storage.googleapis.com/b/a.jpg?X-Goog-Signature=S&generation=7", "https://storage.googleapis.com/b/a.jpg?generation=7"),
        ("https://a.blob.core.windows.net/c/a.jpg?sv=1&st=2&se=3&sr=b&sp=r&sig=S", "https://a.blob.core.windows.net/c/a.jpg"),
        ("https://d.cloudfront.net/a.jpg?v=2&Expires=1&Signature=S&Key-Pair-Id=K", "https://d.cloudfront.net/a.jpg?v=2"),
        ("https://s.example/a.jpg?v=&x=1#top", "https://s.example/a.jpg?v=&x=1"),
        ("images/a.jpg?sig=1", "images/a.jpg?sig=1"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg"),
    ],
)  # fmt: skip
def test_a_link_is_remembered_without_its_signature(uri: str, kept: str) -> None:
    """A signed link's signature changes daily, the file does not; what tells versions apart stays."""
    assert without_signature(uri) == kept
    assert without_signature(kept) == kept


def test_a_link_that_is_none_is_remembered_as_it_is() -> None:
    """Cleaning an address never fails: it is also done for the record of a bad one."""
    assert without_signature("https://[half/a.jpg?sig=1").startswith("https://[half/a.jpg")


def test_no_two_uploads_share_a_name() -> None:
    """Not even of the same bytes; the extension says what they are."""
    one, other = file_name("JPEG"), file_name("JPEG")
    assert one != other
    assert one.endswith(".jpg")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:hunter2@host/a.csv?x=1", "https://host/a.csv?x=1"),
        ("s3://KEY:hun/ter2@bucket/a.csv", "s3://bucket/a.csv"),
        ("sftp://me:hunter2@host:22/a.csv", "sftp://host:22/a.csv"),
        ("abfs://container@account/a.csv", "abfs://container@account/a.csv"),
        ("C:/odd:name@x/a.csv", "C:/odd:name@x/a.csv"),
    ],
)
def test_a_password_in_an_address_is_not_kept(uri: str, shown: str) -> None:
    """What names a catalog or a reference in ledger and manifest says where it is, not how to get in."""
    assert without_signature(uri) == shown
