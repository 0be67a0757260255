"""Result links lead to public addresses, to the gateway itself, and to what the operator opens: in every redirect too."""

import ast
import asyncio
from pathlib import Path

import pytest
from web_server import serving

import seedream_tasks
from seedream_tasks.engine.result_links import Origin, ResultLinks
from seedream_tasks.references.address_guard import AddressRefused, AllowedHosts

# Whoever keeps HTTP connections, and where they lead.
CONNECTS = {
    "GuardedTransport": "references, from checked addresses",
    "ResultLinks": "result links, from checked addresses",
    "HttpClients": "a gateway's API, at the base URL that the operator configured",
}


def fetched(link: str, own: str | None, opened: str = "") -> bytes:
    """What a link gives, for the gateway at the base URL `own`."""

    async def fetch() -> bytes:
        links = ResultLinks(AllowedHosts.parse(opened))
        try:
            async with links.stream(link, Origin.of(own) if own else None) as response:
                return await response.read()
        finally:
            await links.close()

    return asyncio.run(fetch())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_gateway_leads_nowhere_inside(status: int) -> None:
    """Its own host is open to it, and nothing that its own host names: the other service gets no request."""
    with serving() as gateway, serving() as inside:
        target = inside.serve("/secret", b"secret")
        link = gateway.serve("/1.jpg", b"", status=status, headers={"Location": target})
        with pytest.raises(AddressRefused, match="SEEDREAM_ALLOW_HOSTS"):
            fetched(link, own=gateway.base)
        assert (len(gateway.asked), inside.asked) == (1, [])


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "http://[::1]:6379/", "http://localhost:1/x"])
def test_no_redirect_reaches_metadata_or_this_machine(target: str) -> None:
    """By address and by name, however many hops lie between."""
    with serving() as gateway:
        gateway.serve("/2.jpg", b"", status=302, headers={"Location": target})
        link = gateway.serve("/1.jpg", b"", status=302, headers={"Location": "/2.jpg"})
        with pytest.raises(AddressRefused):
            fetched(link, own=gateway.base)
        assert len(gateway.asked) == 2


def test_a_redirect_to_what_is_open_is_followed() -> None:
    """To the gateway itself, and to a host that SEEDREAM_ALLOW_HOSTS names for its port."""
    with serving() as gateway, serving() as store:
        link = gateway.serve("/1.jpg", b"", status=302, headers={"Location": store.serve("/a.jpg", b"image")})
        assert fetched(link, own=gateway.base, opened=f"127.0.0.1:{store.port}") == b"image"
        gateway.serve("/here.jpg", b"own image")
        link = gateway.serve("/1.jpg", b"", status=302, headers={"Location": "/here.jpg"})
        assert fetched(link, own=gateway.base) == b"own image"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirect_to_what_is_no_web_address_is_refused(target: str) -> None:
    """Other schemes are not followed."""
    with serving() as gateway:
        link = gateway.serve("/1.jpg", b"", status=302, headers={"Location": target})
        with pytest.raises(ValueError, match="http"):
            fetched(link, own=gateway.base)


def test_one_gateways_host_is_not_anothers() -> None:
    """A gateway on this machine may hand out links to itself; another gateway's link to there is refused."""
    with serving() as first, serving() as second:
        link = first.serve("/1.jpg", b"image")
        assert fetched(link, own=first.base) == b"image"
        with pytest.raises(AddressRefused):
            fetched(link, own=second.base)
        with pytest.raises(AddressRefused):
            fetched(link, own=None)


def test_links_are_fetched_in_no_other_way() -> None:
    """Nothing else in the package, the stand-in apart, keeps HTTP connections: a new entrance uses one of these."""
    package = Path(seedream_tasks.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        if "sandbox" in path.relative_to(package).parts:
            continue
        for top in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(top, ast.ClassDef):
                calls = {ast.unparse(node.func) for node in ast.walk(top) if isinstance(node, ast.Call)}
                if calls & {"aiohttp.ClientSession", "httpcore.ConnectionPool", "httpcore.AsyncConnectionPool"}:
                    found.add(top.name)
    assert found == set(CONNECTS)
