"""SEEDREAM_PROXY: gateways and their links through it, this machine never, and its password nowhere."""

import asyncio
import logging
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from forward_proxy import forward_proxy
from runs import products, run
from sandbox_process import Sandbox
from web_server import serving

from seedream_tasks.config.environment import Environment
from seedream_tasks.core.errors import ConfigurationError
from seedream_tasks.engine.result_links import ResultLinks
from seedream_tasks.gateways.http import HttpClients, SendWitness
from seedream_tasks.gateways.proxy import read_proxy
from seedream_tasks.references.address_guard import AddressRefused, AllowedHosts

PASSWORD = "s3cret-of-the-proxy"


def test_a_run_buys_through_the_proxy_and_pays_once(
    gateways: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway whose name only the proxy knows: every request goes through it, and the bill is the ledger's."""
    port = urlsplit(gateways.url).port or 0
    monkeypatch.setenv("SEEDREAM_EVOLINK_BASE_URL", "http://gateway.test/evolink")
    monkeypatch.setenv("SEEDREAM_ALLOW_HOSTS", "127.0.0.1")  # the sandbox's links name it by its address
    with caplog.at_level(logging.DEBUG), forward_proxy(gateway_test=port) as proxy:
        monkeypatch.setenv("SEEDREAM_PROXY", proxy.url(f"user:{PASSWORD}@"))
        ran = run(products(tmp_path / "c.csv", 2), tmp_path / "a", gateways=["evolink"])
    assert ran.statuses() == {"archived": 2}
    assert ran.summary.billed_usd == Decimal(gateways.bill()["usd"])
    assert gateways.bill()["accepted"] == 2
    submits = [each for each in proxy.asked if each.startswith("POST http://gateway.test/evolink/v1/images")]
    assert len(submits) == 2
    assert not [each for each in proxy.asked if "127.0.0.1" in each]
    assert proxy.passwords
    assert PASSWORD not in caplog.text


def test_a_proxy_that_lets_nobody_through_has_sent_nothing() -> None:
    """For https the proxy is asked for a tunnel: refused, provably nothing has left, and no message holds its password."""

    async def send(proxy: httpx.Proxy, witness: SendWitness) -> str:
        async with HttpClients(proxy=proxy) as http:
            with pytest.raises((httpx.HTTPError, aiohttp.ClientError, OSError)) as failed:
                await http.send_paid("https://gateway.test/v1/images", b"{}", {}, witness)
        return repr(failed.value)

    with forward_proxy() as proxy:
        witness = SendWitness()
        told = asyncio.run(send(read_proxy(proxy.url(f"user:{PASSWORD}@")), witness))
    assert proxy.asked == ["CONNECT gateway.test:443"]
    assert not witness.connected
    assert PASSWORD not in told


def test_links_go_through_the_proxy_and_lead_to_no_private_address() -> None:
    """A name that this machine does not know is the proxy's; an address or name that is private here is refused as ever."""

    async def fetch(link: str) -> bytes:
        links = ResultLinks(AllowedHosts.parse(""), read_proxy(proxy.url()))
        try:
            async with links.stream(link, None) as response:
                return await response.read()
        finally:
            await links.close()

    with serving() as web, forward_proxy(cdn_test=web.port) as proxy:
        web.serve("/a.png", b"image")
        assert asyncio.run(fetch("http://cdn.test/a.png")) == b"image"
        for private in (
            "http://10.0.0.1/a.png",
            f"http://127.0.0.1:{web.port}/a.png",
            f"http://localhost:{web.port}/a.png",
        ):
            with pytest.raises(AddressRefused):
                asyncio.run(fetch(private))
    assert proxy.asked == ["GET http://cdn.test/a.png"]


@pytest.mark.parametrize(
    "wrong", ["proxy.example:3128", f"socks5://u:{PASSWORD}@h:1", f"http://u:{PASSWORD}@", "http://"]
)
def test_an_address_that_is_no_http_proxy_is_refused_without_being_repeated(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration error that names the variable."""
    monkeypatch.setenv("SEEDREAM_PROXY", wrong)
    with pytest.raises(ConfigurationError, match="SEEDREAM_PROXY") as refused:
        Environment()
    assert PASSWORD not in str(refused.value)
