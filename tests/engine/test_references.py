"""References from anywhere: every kind at every gateway over real HTTP, converted where it needs that, and said."""

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import httpx
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from PIL import Image
from runs import Ran, assert_bill, run, settings, write_catalog
from sandbox_process import Sandbox
from web_server import Web, named, serving, trusted_certificate

from seedream_tasks.config.run_options import RunOptions
from seedream_tasks.core.jobs import Job, Reference
from seedream_tasks.core.price_book import PriceBook
from seedream_tasks.orchestration.session import session
from seedream_tasks.planning.freeze import documented, forecast
from seedream_tasks.references import fetch
from seedream_tasks.storage.archive import Archive

GATEWAYS = [
    ("evolink", "seedream-4.5"),
    ("evolink", "seedream-4.0"),
    ("gccai", "seedream-4.5"),
    ("getimg", "seedream-4.5"),
    ("apiin", "seedream-4.5"),
]


def image(number: int, kind: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB", **more: Any) -> bytes:
    """An image of its own color."""
    buffer = io.BytesIO()
    color = (number * 7 % 256, number * 31 % 256, 90)
    Image.new("RGB", size, color).convert(mode).save(buffer, kind, **more)
    return buffer.getvalue()


class SigningStore(MemoryFileSystem):
    """A store that signs links, as S3 does; what it holds is also served at `host`."""

    protocol = "gs"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    host = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("gs://").strip("/")

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        assert expiration >= 3600
        return f"{self.host}{path}?X-Goog-Signature=secret"


@pytest.fixture
def inside() -> Iterator[Web]:
    """An intranet's server."""
    with serving() as web:
        yield web


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A public https server: shop.example, by a certificate for it; this machine stands for the internet."""
    named(monkeypatch, "shop.example")
    monkeypatch.setattr(fetch, "is_public", lambda _: True)
    with serving(trusted_certificate(tmp_path, monkeypatch)) as web:
        web.base = f"https://shop.example:{web.port}"
        yield web


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's servers may be read."""
    monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "127.0.0.1")


@pytest.fixture
def signing(outside: Web) -> Iterator[None]:
    """gs:// is a store that signs."""
    SigningStore.host = outside.base
    fsspec.register_implementation("gs", SigningStore, clobber=True)
    yield
    SigningStore.store.clear()
    _registry.pop("gs", None)


def kinds(folder: Path, inside: Web, outside: Web) -> dict[str, str]:
    """One reference of every kind, each an image of its own."""
    (folder / "photos").mkdir()
    (folder / "photos" / "a.jpg").write_bytes(image(1))
    (folder / "photos" / "b.png").write_bytes(image(2, "PNG"))
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"/{folder.name}/c.jpg", image(3))
    fsspec.filesystem("gs").pipe_file("/bucket/d.jpg", image(4))
    outside.serve("/bucket/d.jpg", image(4))
    return {
        "path": "photos/a.jpg",
        "file": f"file://{folder}/photos/b.png",
        "data": "data:image/jpeg;base64," + base64.b64encode(image(5)).decode(),
        "http": inside.serve("/e.jpg", image(6)),
        "https": outside.serve("/f.jpg", image(7)),
        "store": f"memory://{folder.name}/c.jpg",
        "signing-store": "gs://bucket/d.jpg",
    }


def way(link: str) -> str:
    """How a link of a request leads to an image."""
    if link.startswith("data:"):
        return "inline"
    return "upload" if "/uploads/" in link else "url"


def sent(sandbox: Sandbox) -> dict[str, list[str]]:
    """The references of each request, by its prompt."""
    found = {}
    for entry in sandbox.bill()["entries"]:
        request = entry["request"]
        links = request.get("image_urls") or [each["url"] for each in request.get("images", [])]
        found[entry["prompt"]] = links
    return found


def edits(folder: Path, references: dict[str, str], **fields: Any) -> Path:
    """A catalog with one edit per reference; its key and its prompt are the reference's name."""
    return write_catalog(
        folder / "catalog.csv",
        *(
            {"sku": name, "prompt": f"Edit {name}", "operation": "edit", "references": uri, **fields}
            for name, uri in references.items()
        ),
    )


FILES = ("path", "file", "data", "http", "store")
LINKS = ("https", "signing-store")


@pytest.mark.usefixtures("allowed", "signing")
@pytest.mark.parametrize(("gateway", "model"), GATEWAYS, ids=[f"{one}-{other[-3:]}" for one, other in GATEWAYS])
def test_every_kind_of_reference_at_every_gateway(
    gateway: str, model: str, gateways: Sandbox, tmp_path: Path, inside: Web, outside: Web
) -> None:
    """Public links go as links, and so does what a store signs; the rest is uploaded, else inlined, else cannot be had."""
    folder = tmp_path / "shop"
    folder.mkdir()
    ran = run(edits(folder, kinds(folder, inside, outside), model=model), tmp_path / "a", gateways=[gateway])
    ways = {name: way(link) for prompt, (link,) in sent(gateways).items() for name in [prompt.removeprefix("Edit ")]}
    other = {"getimg": "inline", "apiin": None}.get(gateway, "upload")
    expected = dict.fromkeys(LINKS, "url") | (dict.fromkeys(FILES, other) if other else {})
    assert ways == expected
    for record in ran.records:
        if record["row_key"] in expected:
            assert (record["status"], record["warnings"]) == ("archived", []), record["error_message"]
        else:
            assert (record["status"], record["error_code"]) == ("invalid", "reference_transport")
            assert record["references"][0]["sha256"]
    assert "secret" not in str([each["references"] for each in ran.records])
    assert_bill(gateways, ran)


@pytest.mark.usefixtures("allowed")
def test_an_intranets_link_is_read_by_us_and_never_handed_on(gateways: Sandbox, tmp_path: Path, inside: Web) -> None:
    """A gateway could not fetch it: uploaded where that is possible, and elsewhere noticed before payment."""
    catalog = edits(tmp_path, {"a": inside.serve("/a.jpg", image(1))})
    ran = run(catalog, tmp_path / "a", gateways=["evolink", "apiin"])
    assert ran.one("a")["gateway"] == "evolink"
    assert [way(link) for links in sent(gateways).values() for link in links] == ["upload"]
    refused = run(catalog, tmp_path / "b", gateways=["apiin"], ledger=f"sqlite:///{tmp_path}/b.db")
    assert refused.one("a")["error_code"] == "reference_transport"


def test_a_private_link_that_nobody_opened_is_invalid(gateways: Sandbox, tmp_path: Path, inside: Web) -> None:
    """Not fetched, not paid for; the reason names the setting."""
    ran = run(edits(tmp_path, {"a": inside.serve("/a.jpg", image(1))}), tmp_path / "a")
    record = ran.one("a")
    assert (record["status"], record["error_code"]) == ("invalid", "reference_private")
    assert "SEEDREAM_ALLOW_HOSTS" in record["error_message"]
    assert inside.asked == []
    assert gateways.bill()["submissions"] == 0


@pytest.mark.parametrize(
    ("opens", "sha256", "fate"),
    [("", None, "nothing"), ("127.0.0.1", "0" * 64, "nothing"), ("127.0.0.1", None, "bought")],
)
def test_a_job_of_somebodys_own_flow_is_checked_too(
    opens: str,
    sha256: str | None,
    fate: str,
    gateways: Sandbox,
    tmp_path: Path,
    inside: Web,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its references were looked at by nobody here: a private link, or another file than it says, is not paid for."""
    monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", opens)
    reference = Reference(inside.serve("/a.jpg", image(1)), sha256)
    job = Job("p", "image", "seedream-4.5", "edit", "A lamp", references=(reference,))

    async def submit() -> list[str]:
        async with session("a-run", settings(tmp_path / "none.csv", tmp_path / "a", gateways=["evolink"])) as run:
            await run.begin()
            return await (await run.engine()).submit(job)

    attempts = asyncio.run(submit())
    assert len(attempts) == gateways.bill()["submissions"] == (1 if fate == "bought" else 0)


# Converted copies


def turned() -> bytes:
    """A phone's photo: stored on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return image(11, size=(64, 48), exif=exif)


def large() -> bytes:
    """A file of more than 10 MB."""
    return image(12, "BMP", size=(2200, 1600))


def odd_files() -> dict[str, bytes]:
    """What suppliers send."""
    return {
        "turned.jpg": turned(),
        "large.bmp": large(),
        "print.jpg": image(13, mode="CMYK"),
        "scan.tiff": image(14, "TIFF"),
        "old.gif": image(15, "GIF", mode="P"),
        "web.webp": image(16, "WEBP"),
        "new.avif": image(17, "AVIF"),
    }


@pytest.mark.parametrize(("gateway", "model"), GATEWAYS[:4], ids=[f"{one}-{other[-3:]}" for one, other in GATEWAYS[:4]])
def test_odd_files_are_converted_and_said(gateway: str, model: str, gateways: Sandbox, tmp_path: Path) -> None:
    """What a gateway would refuse is bought with a converted copy; the warning stands exactly where one was sent."""
    files = odd_files()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    ran = run(edits(tmp_path, {name: name for name in files}, model=model), tmp_path / "a", gateways=[gateway])
    assert ran.statuses() == {"archived": len(files)}
    untouched = {"evolink": {"old.gif", "web.webp"}, "getimg": {"web.webp"}}.get(gateway, set())
    untouched = set() if model == "seedream-4.0" else untouched
    warned = {each["row_key"] for each in ran.records if "reference_converted" in each["warnings"]}
    assert warned == set(files) - untouched
    again = run(tmp_path / "catalog.csv", tmp_path / "a", gateways=[gateway])
    assert {each["row_key"] for each in again.records if "reference_converted" in each["warnings"]} == warned
    assert again.summary.reused == len(files)
    assert_bill(gateways, ran, again)


@pytest.mark.usefixtures("allowed")
def test_a_copy_does_not_go_as_a_link(gateways: Sandbox, tmp_path: Path, outside: Web) -> None:
    """The link leads to the original: where links are all that is taken, the record says what is wrong with the file."""
    catalog = edits(tmp_path, {"a": outside.serve("/turned.jpg", turned())})
    refused = run(catalog, tmp_path / "b", gateways=["apiin"], ledger=f"sqlite:///{tmp_path}/b.db")
    assert refused.one("a")["error_code"] == "reference_flaw"
    assert "turned by EXIF" in refused.one("a")["error_message"]
    ran = run(catalog, tmp_path / "a", gateways=["apiin", "gccai"])
    assert (ran.one("a")["gateway"], ran.one("a")["warnings"]) == ("gccai", ["reference_converted"])
    assert [way(link) for links in sent(gateways).values() for link in links] == ["upload"]


def test_the_fingerprint_is_the_sources(gateways: Sandbox, tmp_path: Path) -> None:
    """Bought at whichever gateway, converted or not, a reference is one reference: the next run reuses the image."""
    (tmp_path / "a.webp").write_bytes(image(16, "WEBP"))
    catalog = edits(tmp_path, {"a": "a.webp"})
    first = run(catalog, tmp_path / "a", gateways=["gccai"])
    assert first.one("a")["warnings"] == ["reference_converted"]
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert second.one("a")["reused"]
    assert second.one("a")["fingerprint"] == first.one("a")["fingerprint"]
    assert gateways.bill()["submissions"] == 1


def test_many_large_references_share_one_request(gateways: Sandbox, tmp_path: Path) -> None:
    """Inlined they are brought under the request's limit together."""
    for number in range(4):
        noise = Image.merge("RGB", [Image.effect_noise((1800, 1500), 100 + number) for _ in range(3)])
        noise.save(tmp_path / f"{number}.png", compress_level=1)
        assert (tmp_path / f"{number}.png").stat().st_size > 6_600_000
    ran = run(edits(tmp_path, {"a": "|".join(f"{n}.png" for n in range(4))}), tmp_path / "a", gateways=["getimg"])
    assert ran.one("a")["status"] == "archived", ran.one("a")["error_message"]
    assert ran.one("a")["warnings"] == ["reference_converted"]


BAD = {
    "page.jpg": (b"<!DOCTYPE html><html><body>Not here</body></html>", "reference_unreadable", "a web page"),
    "drawing.svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "reference_unreadable", "SVG"),
    "phone.heic": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "reference_unreadable", "HEIC"),
    "half.jpg": (image(1, size=(400, 300))[:900], "reference_unreadable", "damaged JPEG"),
    "empty.png": (b"", "reference_unreadable", "0 bytes"),
    "thin.png": (image(1, "PNG", size=(800, 20)), "reference_aspect", "800x20 px"),
    "tiny.png": (image(1, "PNG", size=(10, 12)), "reference_side", "10x12 px, both sides must be above 14"),
    "bomb.png": (image(1, "PNG", size=(15_000, 9_000), mode="1"), "reference_unreadable", "120,000,000"),
}


def test_what_cannot_be_mended_is_invalid_with_the_figures(gateways: Sandbox, tmp_path: Path) -> None:
    """Before any money moves, and each with its own reason."""
    for name, (content, _, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    ran = run(edits(tmp_path, {name: name for name in (*BAD, "missing.jpg")}), tmp_path / "a", gateways=["gccai"])
    for name, (_, code, words) in BAD.items():
        record = ran.one(name)
        assert (record["status"], record["error_code"]) == ("invalid", code), name
        assert words in record["error_message"]
        assert "line " in record["error_message"]
    assert "there is no such file" in ran.one("missing.jpg")["error_message"]
    assert gateways.bill()["submissions"] == 0
    assert not any("uploads" in request for request in gateways.bill()["requests"])


# Fetched once


@pytest.mark.usefixtures("allowed")
def test_a_reference_is_fetched_once_per_run_and_asked_for_in_the_next(
    gateways: Sandbox, tmp_path: Path, inside: Web
) -> None:
    """However many records share it; an unchanged one is not fetched again, whatever its signature is today."""
    link = inside.serve("/a.jpg", image(1))
    catalog = edits(tmp_path, {f"p{number}": link for number in range(30)})
    first = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert len(inside.asked) == 1
    uploads = gateways.bill()["requests"]["POST /evolink/files/api/v1/files/upload/stream"]
    assert uploads == 1
    edits(tmp_path, {f"p{number}": f"{link}?X-Amz-Signature=today" for number in range(30)})
    inside.asked.clear()
    second = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert [headers.get("if-none-match") is not None for _, headers in inside.asked] == [True]
    assert second.summary.reused == 30
    assert_bill(gateways, first, second)


@pytest.mark.usefixtures("allowed")
def test_what_falls_out_of_memory_is_not_fetched_again_in_the_same_run(
    gateways: Sandbox, tmp_path: Path, inside: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog of a million references must fit: the ledger says what this run has seen already."""
    monkeypatch.setattr("seedream_tasks.planning.reference_lookup._KEPT", 3)
    monkeypatch.setattr("seedream_tasks.planning.planner._BATCH", 4)
    links = [inside.serve(f"/{number}.jpg", image(number)) for number in range(12)]
    catalog = edits(tmp_path, {f"p{number}": links[number % 12] for number in range(24)})
    ran = run(catalog, tmp_path / "a", gateways=["gccai"])
    assert ran.statuses() == {"archived": 24}
    assert sorted(path for path, _ in inside.asked) == sorted(f"/{number}.jpg" for number in range(12))


def test_a_file_in_a_store_is_asked_for_its_version(gateways: Sandbox, tmp_path: Path) -> None:
    """Unchanged, it is not read again; changed, its job is another one."""
    store = fsspec.filesystem("memory")
    name = f"/{tmp_path.name}/a.jpg"
    store.pipe_file(name, image(1))
    catalog = edits(tmp_path, {"a": f"memory:/{name}"})
    run(catalog, tmp_path / "a", gateways=["evolink"])
    assert run(catalog, tmp_path / "a", gateways=["evolink"]).one("a")["reused"]
    store.pipe_file(name, image(2))
    changed = run(catalog, tmp_path / "a", gateways=["evolink"])
    assert (changed.one("a")["reason"], changed.one("a")["reused"]) == ("reference_changed", False)


@pytest.mark.usefixtures("allowed")
def test_a_forecast_fetches_nothing(tmp_path: Path, inside: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a link, and nothing from a store; a path beside a catalog in a store is in that store."""
    catalog = edits(tmp_path, {"a": inside.serve("/a.jpg", image(1)), "b": "memory://nowhere/b.jpg"})
    figures, _ = forecast(
        RunOptions(str(catalog)),
        documented(("evolink",)),
        PriceBook.for_run(True, ()),
        Archive(str(tmp_path / "a")),
        None,
    )
    assert figures.as_json()["unchecked_references"] == 2
    assert inside.asked == []
    remote = f"memory://{tmp_path.name}/catalog.csv"
    fsspec.filesystem("memory").pipe_file(
        f"/{tmp_path.name}/catalog.csv", b"sku,prompt,operation,references\na,x,edit,a.jpg\n"
    )
    figures, _ = forecast(
        RunOptions(remote), documented(("evolink",)), PriceBook.for_run(True, ()), Archive(str(tmp_path / "a")), None
    )
    assert figures.as_json()["unchecked_references"] == 1


# The gateway's file service has an end


def many(tmp_path: Path, count: int) -> Path:
    """A catalog with that many photos of its own."""
    for number in range(count):
        (tmp_path / f"{number}.png").write_bytes(image(number, "PNG", size=(40 + number, 40)))
    return edits(tmp_path, {f"p{number}": f"{number}.png" for number in range(count)})


FILES_URL = "/files/api/v1/files"


def test_more_photos_than_the_file_service_holds(gateways: Sandbox, tmp_path: Path) -> None:
    """The 101st photo takes the place of one that no live attempt needs: all are bought, none with a dead link."""
    ran = run(many(tmp_path, 130), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"archived": 130}
    requests = gateways.bill()["requests"]
    assert requests[f"DELETE /evolink{FILES_URL}/{{id}}"] >= 30
    assert_bill(gateways, ran)


def test_two_uploads_of_the_same_bytes_do_not_replace_each_other(gateways: Sandbox, tmp_path: Path) -> None:
    """Two files that become one image, and another ledger at the same account: every link that was paid for stays good."""
    (tmp_path / "a.tiff").write_bytes(image(1, "TIFF"))
    (tmp_path / "b.bmp").write_bytes(image(1, "BMP"))
    catalog = edits(tmp_path, {"a": "a.tiff", "b": "b.bmp"})
    here = run(catalog, tmp_path / "here", gateways=["evolink"])
    there = run(catalog, tmp_path / "there", gateways=["evolink"])
    assert (here.statuses(), there.statuses()) == ({"archived": 2}, {"archived": 2})
    links = {link for entry in gateways.bill()["entries"] for link in entry["request"]["image_urls"]}
    assert len(links) == 4
    assert {httpx.get(link).status_code for link in links} == {200}
    assert_bill(gateways, here, there)


def test_files_of_others_are_not_touched(gateways: Sandbox, tmp_path: Path) -> None:
    """A file service full of somebody's else files is a reason to go to the next gateway, not to delete them."""
    key = {"Authorization": "Bearer key-of-evolink"}
    base = gateways.bases["evolink"] + FILES_URL
    for number in range(100):
        files = {"file": (f"other-{number}.png", image(number, "PNG"), "image/png")}
        httpx.post(f"{base}/upload/stream", files=files, headers=key).raise_for_status()
    catalog = many(tmp_path, 2)
    alone = run(catalog, tmp_path / "b", gateways=["evolink"], ledger=f"sqlite:///{tmp_path}/b.db")
    assert alone.statuses() == {"deferred": 2}
    ran: Ran = run(catalog, tmp_path / "a", gateways=["evolink", "gccai"])
    assert {each["gateway"] for each in ran.records} == {"gccai"}
    assert httpx.get(f"{base}/quota", headers=key).json()["data"]["used_files"] == 100
    assert_bill(gateways, ran)
