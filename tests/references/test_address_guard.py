"""Links lead to the public internet or nowhere: whatever a catalog names, and however it is spelled."""

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_server import Web, serving

from seedream_tasks.core.errors import ConfigurationError, ReferenceFault
from seedream_tasks.references.address_guard import AllowedHosts, is_public
from seedream_tasks.references.fetch import Fetcher

PRIVATE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1"),
    *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "255.255.255.255"),
    *("198.18.0.1", "192.0.2.1", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254"),
    *("ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:53aa::1", "2001:db8::1", "::7f00:1"),
]
PUBLIC = ["8.8.8.8", "151.101.1.69", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_is_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, multicast, metadata; also where IPv6 wraps such an IPv4 address."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_outside_is_public(address: str) -> None:
    """Web servers, and public IPv4 addresses in IPv6 clothes (as networks without IPv4 show them)."""
    assert is_public(address)


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_spelling_in_ipv6_opens_a_private_address(inner: ipaddress.IPv4Address) -> None:
    """Mapped, translated, or tunnelled."""
    number = int(inner)
    translated = ipaddress.IPv6Address((0x64FF9B << 96) | number)
    for wrapped in (f"::ffff:{inner}", str(translated), f"2002:{number >> 16:x}:{number & 0xFFFF:x}::"):
        assert not is_public(wrapped)


# What SEEDREAM_ALLOW_HOSTS says


@pytest.mark.parametrize(
    ("text", "host", "port", "address", "holds"),
    [
        ("shop.lan", "shop.lan", 80, "10.0.0.5", True),
        ("shop.lan", "SHOP.LAN.", 8443, "10.0.0.5", True),
        ("shop.lan:8080", "shop.lan", 8080, "10.0.0.5", True),
        ("shop.lan:8080", "shop.lan", 80, "10.0.0.5", False),
        ("shop.lan", "other.lan", 80, "10.0.0.5", False),
        ("shop.lan", "evil.shop.lan", 80, "10.0.0.5", False),
        ("127.0.0.1", "localhost", 80, "127.0.0.1", True),
        ("127.0.0.1:9000", "127.0.0.1", 9001, "127.0.0.1", False),
        ("10.0.0.0/8", "anything.lan", 80, "10.200.3.4", True),
        ("10.0.0.0/8", "anything.lan", 80, "::ffff:10.200.3.4", True),
        ("10.0.0.0/8", "anything.lan", 80, "192.168.0.1", False),
        ("[::1]:8080", "::1", 8080, "::1", True),
        ("::1", "::1", 80, "::1", True),
        (" a.lan , 10.0.0.0/8 ,, b.lan:1 ", "b.lan", 1, "192.168.0.1", True),
        ("", "localhost", 80, "127.0.0.1", False),
    ],
)
def test_what_the_setting_opens(text: str, host: str, port: int, address: str, holds: bool) -> None:
    """A name, an address or a network, for one port or for all; nothing beside it."""
    assert AllowedHosts.parse(text).holds(host, port, address) is holds


@pytest.mark.parametrize(
    "text", ["http://shop.lan", "*", "*.lan", "10.0.0.1/8", "shop.lan:http", "user@shop.lan", "a b"]
)
def test_a_setting_that_cannot_be_read_is_an_error(text: str) -> None:
    """Exit 2, rather than a hole or a wall that nobody meant."""
    with pytest.raises(ConfigurationError, match="SEEDREAM_ALLOW_HOSTS"):
        AllowedHosts.parse(text)


# Over real connections


@pytest.fixture
def web() -> Iterator[Web]:
    """A server inside, which nobody asked for."""
    with serving() as running:
        running.serve("/secret.jpg", b"secret")
        yield running


@pytest.fixture
def stranger() -> Iterator[Fetcher]:
    """Fetches for a catalog, with nothing opened."""
    fetcher = Fetcher(AllowedHosts())
    yield fetcher
    fetcher.close()


def refused(fetcher: Fetcher, uri: str) -> ReferenceFault:
    """The fault that fetching ends with: a private address."""
    with pytest.raises(ReferenceFault) as caught:
        fetcher.fetch(uri)
    assert caught.value.facts["error_code"] == "reference_private"
    return caught.value


SPELLINGS = [
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "0.0.0.0", "0"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "LOCALHOST", "localhost."),
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_this_machine_is_not_reached(host: str, web: Web, stranger: Fetcher) -> None:
    """Under no spelling: not a single request arrives."""
    with pytest.raises(ReferenceFault) as caught:
        stranger.fetch(f"http://{host}:{web.port}/secret.jpg")
    # What is no address here (`localhost.` has none on some systems) cannot be fetched either way.
    assert caught.value.facts["error_code"] in ("reference_private", "reference_unreachable")
    assert web.asked == []


def test_the_refusal_names_the_way_out(web: Web, stranger: Fetcher) -> None:
    """Whoever runs an intranet shop is told which setting opens it."""
    fault = refused(stranger, f"http://127.0.0.1:{web.port}/secret.jpg")
    assert "127.0.0.1 is not a public address; SEEDREAM_ALLOW_HOSTS opens" in fault.message


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://100.100.100.200/latest/meta-data/",
        "http://[64:ff9b::a9fe:a9fe]/latest/",
        "https://10.0.0.1/",
        "http://[::1]:22/",
    ],
)
def test_metadata_and_intranet_are_not_reached(uri: str, stranger: Fetcher) -> None:
    """The address decides before a connection is made, so this says no where there is no such network too."""
    refused(stranger, uri)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere_inside(status: int, web: Web, stranger: Fetcher) -> None:
    """Every hop is checked anew: an opened host cannot hand us on to one that is not."""
    opened = Fetcher(AllowedHosts.parse(f"127.0.0.1:{web.port}"))
    with serving() as inside:
        target = inside.serve("/secret.jpg", b"secret")
        uri = web.serve("/photo.jpg", b"", status=status, headers={"Location": target})
        refused(opened, uri)
        assert inside.asked == []
        assert len(web.asked) == 1
    opened.close()


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/", "//", "http://["]
)
def test_a_redirect_to_what_is_no_link_is_a_fault(target: str, web: Web) -> None:
    """Other schemes are not followed."""
    opened = Fetcher(AllowedHosts.parse("127.0.0.1"))
    uri = web.serve("/photo.jpg", b"", status=302, headers={"Location": target})
    with pytest.raises(ReferenceFault):
        opened.fetch(uri)
    opened.close()


class Resolver:
    """The system's resolver, but for one name, whose answers are given here one after the other (the last one stays)."""

    def __init__(self, name: str, *answers: list[str]) -> None:
        self._name = name
        self._answers = list(answers)
        self._system = socket.getaddrinfo
        self.asked = 0

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host != self._name:
            return self._system(host, port, *more, **named)
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_a_name_that_means_something_else_a_moment_later_does_not_help(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: a name is resolved once per connection, and that answer is checked and connected to, not a later one."""
    resolver = Resolver("rebind.example", ["127.0.0.1"], ["0.0.0.0"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    uri = f"http://rebind.example:{web.port}/secret.jpg"
    for asked in (1, 2):
        fetcher = Fetcher(AllowedHosts.parse("127.0.0.1"))  # new connections, so the name is asked for again
        if asked == 1:
            assert fetcher.fetch(uri).content == b"secret"
        else:
            # 0.0.0.0 is this machine too, by an address that nobody opened.
            assert "0.0.0.0" in refused(fetcher, uri).message
        assert resolver.asked == asked
        fetcher.close()
    assert len(web.asked) == 1


def test_one_bad_address_among_good_ones_is_refused(
    web: Web, stranger: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers with a public and a private address is refused before either is tried."""
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("both.example", ["8.8.8.8", "127.0.0.1"]))
    refused(stranger, f"http://both.example:{web.port}/secret.jpg")
    assert web.asked == []


def test_a_name_for_an_address_inside_is_refused(web: Web, stranger: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public names may point inside; the message says where to."""
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("inside.example", ["127.0.0.1"]))
    assert "inside.example (127.0.0.1)" in refused(stranger, f"http://inside.example:{web.port}/secret.jpg").message
    assert web.asked == []


def test_what_is_opened_is_fetched_and_not_public(web: Web) -> None:
    """An intranet's images can be read by us; a gateway could not, so they are never presented as links."""
    opened = Fetcher(AllowedHosts.parse("localhost"))
    found = opened.fetch(f"http://localhost:{web.port}/secret.jpg")
    assert (found.content, found.public) == (b"secret", False)
    opened.close()


def test_proxies_are_not_used(web: Web, stranger: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy the address could not be checked, so its variables are not read."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, web.base)
    fetcher = Fetcher(AllowedHosts())
    refused(fetcher, "http://10.0.0.1/a.jpg")
    assert web.asked == []
    fetcher.close()
