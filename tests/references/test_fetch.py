"""Fetching is bounded in every direction, and patient with servers that are only busy."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import Web, drip, named, raw, serving, trusted_certificate

from seedream_tasks.core.errors import ReferenceFault
from seedream_tasks.references import fetch
from seedream_tasks.references.address_guard import AllowedHosts
from seedream_tasks.references.fetch import Fetcher


@pytest.fixture
def web() -> Iterator[Web]:
    """A server for one test."""
    with serving() as running:
        yield running


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    """May reach this machine."""
    made = Fetcher(AllowedHosts.parse("127.0.0.1"))
    yield made
    made.close()


def fault(fetcher: Fetcher, uri: str) -> ReferenceFault:
    """What fetching ends with."""
    with pytest.raises(ReferenceFault) as caught:
        fetcher.fetch(uri)
    return caught.value


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(status: int, web: Web, fetcher: Fetcher) -> None:
    """Two bad moments do not make a reference unreachable; Retry-After says how long to wait."""
    uri = web.serve("/a.jpg", b"image", first=[status, status], headers={"Retry-After": "0"})
    assert fetcher.fetch(uri).content == b"image"
    assert len(web.asked) == 3


def test_a_server_that_stays_busy_is_left_alone(web: Web, fetcher: Fetcher) -> None:
    """Three tries, then it is unreachable, with its status."""
    uri = web.serve("/a.jpg", b"", status=503, headers={"Retry-After": "0"})
    assert "HTTP 503" in fault(fetcher, uri).message
    assert len(web.asked) == 3


def test_a_server_that_wants_a_long_wait_is_not_waited_for(web: Web, fetcher: Fetcher) -> None:
    """Retry-After beyond the time for one reference ends it at once."""
    uri = web.serve("/a.jpg", b"", status=429, headers={"Retry-After": "3600"})
    assert fault(fetcher, uri).facts["error_code"] == "reference_unreachable"
    assert len(web.asked) == 1


def test_a_host_that_is_down_is_asked_once_per_reference(web: Web, fetcher: Fetcher) -> None:
    """After three references in a row it is not worth three tries each; one answer makes it a good host again."""
    for number in range(5):
        fault(fetcher, web.serve(f"/{number}.jpg", b"", status=503, headers={"Retry-After": "0"}))
    assert len(web.asked) == 3 * 3 + 2
    assert fetcher.fetch(web.serve("/good.jpg", b"image")).content == b"image"
    web.asked.clear()
    fault(fetcher, web.serve("/bad.jpg", b"", status=503, headers={"Retry-After": "0"}))
    assert len(web.asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_definite_no_is_not_asked_again(status: int, web: Web, fetcher: Fetcher) -> None:
    """It would be the same."""
    fault(fetcher, web.serve("/a.jpg", b"", status=status))
    assert len(web.asked) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize(
    ("head", "drop"), [(HEAD + b"\r\n", b"x"), (HEAD, b"X-More: x\r\n"), (b"", b"H")], ids=["body", "headers", "status"]
)
def test_a_server_that_drips_does_not_hold_a_run(head: bytes, drop: bytes) -> None:
    """Each byte comes in time, the whole never: the time for one reference ends it, whatever part it drips."""
    patient = Fetcher(AllowedHosts.parse("127.0.0.1"), within_s=0.6)
    with raw(drip(head, drop)) as base:
        assert fault(patient, f"{base}/a.jpg").facts["error_code"] == "reference_unreachable"
    patient.close()


def test_a_file_without_an_end_is_cut_off(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than any gateway takes are not read, whether announced or not."""
    monkeypatch.setattr(fetch, "MOST_BYTES", 200_000)
    with raw(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)) as base:
        assert fault(fetcher, f"{base}/a.jpg").facts["error_code"] == "reference_bytes"


def test_an_announced_size_is_believed(web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has both figures."""
    monkeypatch.setattr(fetch, "MOST_BYTES", 1000)
    assert "1,001 bytes, more than 1,000 bytes" in fault(fetcher, web.serve("/a.jpg", b"x" * 1001)).message


def test_a_connection_that_breaks_is_tried_again_and_then_given_up(fetcher: Fetcher) -> None:
    """A body that ends early is not a file."""
    tries = []

    def break_off(connection: object) -> None:
        tries.append(1)
        connection.sendall(HEAD + b"\r\nhalf")  # type: ignore[attr-defined]

    with raw(break_off) as base:
        assert fault(fetcher, f"{base}/a.jpg").facts["error_code"] == "reference_unreachable"
    assert len(tries) == 3


def test_a_packed_answer_is_not_unpacked(web: Web, fetcher: Fetcher) -> None:
    """Nobody asked for gzip, and a few kilobytes of it could be gigabytes."""
    uri = web.serve("/a.jpg", b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert "gzip" in fault(fetcher, uri).message
    assert web.asked[0][1]["accept-encoding"] == "identity"


def test_redirects_are_followed_to_a_point(web: Web, fetcher: Fetcher) -> None:
    """Five hops; a circle ends."""
    web.serve("/end.jpg", b"image")
    for number in range(5):
        target = "/end.jpg" if number == 4 else f"/{number + 1}"
        web.serve(f"/{number}", b"", status=302, headers={"Location": target})
    assert fetcher.fetch(f"{web.base}/0").content == b"image"
    circle = web.serve("/circle", b"", status=302, headers={"Location": "/circle"})
    assert "redirected more than 5 times" in fault(fetcher, circle).message


def test_a_link_without_an_etag_is_asked_by_its_date(web: Web, fetcher: Fetcher) -> None:
    """Last-Modified stands in for the ETag."""
    web.etags = False
    date = "Sat, 21 Nov 2026 10:00:00 GMT"
    uri = web.serve("/a.jpg", b"image", headers={"Last-Modified": date})
    first = fetcher.fetch(uri)
    assert first.validator == date
    assert fetcher.fetch(uri, date).content is None
    assert web.asked[-1][1]["if-modified-since"] == date


def test_cookies_are_not_kept(web: Web, fetcher: Fetcher) -> None:
    """What one product's host hands out does not follow us to the next reference."""
    uri = web.serve("/a.jpg", b"image", headers={"Set-Cookie": "id=1"})
    fetcher.fetch(uri)
    fetcher.fetch(uri)
    assert "cookie" not in web.asked[-1][1]


# What a gateway can fetch too


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for 127.0.0.1 and shop.example, trusted for the length of a test."""
    return trusted_certificate(tmp_path, monkeypatch)


@pytest.fixture
def everything_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine stands for the internet."""
    monkeypatch.setattr(fetch, "is_public", lambda _: True)


@pytest.mark.usefixtures("everything_is_public")
def test_only_https_all_the_way_is_public(certificate: ssl.SSLContext, web: Web) -> None:
    """A link is handed to a gateway when anybody can fetch it over https, without a password in it, whatever hop."""
    with serving(certificate) as secure:
        fetcher = Fetcher(AllowedHosts.parse("127.0.0.1"))
        good = secure.serve("/a.jpg", b"image")
        plain = web.serve("/a.jpg", b"image")
        moved = secure.serve("/moved", b"", status=302, headers={"Location": "/a.jpg"})
        lowered = secure.serve("/lowered", b"", status=302, headers={"Location": plain})
        raised = web.serve("/raised", b"", status=302, headers={"Location": good})
        with_password = good.replace("https://", "https://user:secret@")
        found = {uri: fetcher.fetch(uri).public for uri in (good, moved, plain, lowered, raised, with_password)}
        assert found == {good: True, moved: True, plain: False, lowered: False, raised: False, with_password: False}
        fetcher.close()


def test_https_inside_is_not_public(certificate: ssl.SSLContext) -> None:
    """The address decides, not the scheme."""
    with serving(certificate) as secure:
        fetcher = Fetcher(AllowedHosts.parse("127.0.0.1"))
        found = fetcher.fetch(secure.serve("/a.jpg", b"image"))
        assert (found.content, found.public) == (b"image", False)
        fetcher.close()


def test_certificates_are_checked_against_the_name(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the connection is made to an address, the certificate must be the host's."""
    named(monkeypatch, "shop.example", "other.example")
    with serving(certificate) as secure:
        fetcher = Fetcher(AllowedHosts.parse("127.0.0.1"))
        secure.serve("/a.jpg", b"image")
        assert fetcher.fetch(f"https://shop.example:{secure.port}/a.jpg").content == b"image"
        assert "certificate" in fault(fetcher, f"https://other.example:{secure.port}/a.jpg").message.lower()
        fetcher.close()


@pytest.mark.usefixtures("everything_is_public")
def test_a_signed_link_is_tried_before_it_is_handed_out(certificate: ssl.SSLContext) -> None:
    """It must answer, with the file that was read: a store's signature is worth nothing if the store then says no."""
    with serving(certificate) as secure:
        fetcher = Fetcher(AllowedHosts.parse("127.0.0.1"))
        link = secure.serve("/a.jpg", b"image")
        assert fetcher.answers(link, len(b"image"))
        assert not fetcher.answers(link, 3)
        assert not fetcher.answers(secure.serve("/no.jpg", b"", status=403), 0)
        assert not fetcher.answers("https://127.0.0.1:1/a.jpg", 0)
        fetcher.close()
