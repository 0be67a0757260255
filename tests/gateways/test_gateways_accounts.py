"""Free questions: is the key right, is it the sandbox, what is left; uploads; and where the key never goes."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from drawn import image
from gateway_client import GATEWAYS, KEY, ask, at_server
from on_offer import BY_OFFER, DIALECTS, SEEDREAM_40, SEEDREAM_45
from sandbox_process import Sandbox
from servers import Server, cutting, message, saying
from web_server import closed_port

from seedream_tasks.core.errors import GatewayFault, NotThisGateway
from seedream_tasks.engine.result_links import ResultLinks
from seedream_tasks.gateways.client import Account, GatewayClient, Probe
from seedream_tasks.gateways.dialect import Balance, ModelInForce
from seedream_tasks.gateways.http import HttpClients
from seedream_tasks.references.address_guard import AllowedHosts

DOCUMENTED: dict[str, tuple[int, dict[str, Any]]] = {
    "evolink": (
        200,
        {
            "success": True,
            "message": "",
            "data": {
                "token": {"remaining_credits": 99416.4, "unlimited_credits": False, "used_credits": 583.5},
                "user": {"remaining_credits": 1095.4, "used_credits": 135.9},
            },
        },
    ),
    "gccai": (
        200,
        {"success": True, "message": "", "remain_balance": 10.5, "remain_credits": 1050.25, "unlimited_quota": False},
    ),
    "getimg": (200, {"balance": "12.34", "currency": "USD"}),
    "apiin": (404, {"error": {"code": 404, "message": "Task not found", "type": "invalid_request"}}),
}
LEFT = {
    "evolink": Balance(credits=Decimal("1095.4"), used_credits=Decimal("583.5")),
    "gccai": Balance(credits=Decimal("1050.25")),
    "getimg": Balance(usd=Decimal("12.34")),
    "apiin": None,
}


def probe(client: GatewayClient) -> Any:
    """The check of an account."""
    return client.probe()


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_sandbox_is_known_by_its_header(gateways: Sandbox, gateway: str) -> None:
    """The check passes at the sandbox and says that it is simulated; it costs nothing."""
    found = ask(gateway, gateways.bases[gateway], probe)
    assert found.simulated
    assert (found.balance is None) is (gateway == "apiin")
    assert gateways.bill()["submissions"] == 0


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_documented_answer_without_the_header_is_real(gateway: str) -> None:
    """An answer as documented is a real account, with what is left in it."""
    status, body = DOCUMENTED[gateway]
    found, server = at_server(gateway, saying(message(status, body)), probe)
    assert found == Probe(simulated=False, balance=LEFT[gateway])
    (request,) = server.requests
    assert request.method == "GET"
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_a_fault_that_says_so(gateway: str, status: int) -> None:
    """401 and 403, as HTTP status or as the code inside a 200, are about the key."""
    error = {"code": status, "message": "Invalid API key", "type": "authentication_error"}
    for answer in (message(status, {"error": error}), message(200, {"error": error}), message(200, {"code": status})):
        with pytest.raises(GatewayFault) as fault:
            at_server(gateway, saying(answer), probe)
        assert not isinstance(fault.value, NotThisGateway)
        assert fault.value.facts["status"] == status
        assert KEY not in str(fault.value)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_another_server_is_not_this_gateway(gateway: str) -> None:
    """A readable answer of another kind: the base URL belongs elsewhere, and the message names where to put it right."""
    others = [body for name, (_, body) in DOCUMENTED.items() if name != gateway and name != "apiin"]
    for body in (*others, "<html>Welcome</html>", {}, {"status": "ok"}, [1]):
        with pytest.raises(NotThisGateway) as fault:
            at_server(gateway, saying(message(200, body)), probe)
        assert f"SEEDREAM_{gateway.upper()}_BASE_URL" in fault.value.facts["hint"]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_page_that_is_not_there_is_not_this_gateway(gateway: str) -> None:
    """A web server's own 404 is no gateway's answer."""
    with pytest.raises(NotThisGateway):
        at_server(gateway, saying(message(404, "<html>not found</html>")), probe)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_trouble_that_may_pass_is_a_fault(gateway: str) -> None:
    """No answer, 429 and 5xx say nothing about the account: to be asked again."""
    busy = {"error": {"code": 429, "message": "slow down"}}
    for behaviour in (
        cutting,
        saying(message(429, busy)),
        saying(message(500, "oops")),
        saying(message(502, "<html>")),
        saying(message(503, {"error": {"code": 503, "message": "later"}})),
        saying(message(200, {"code": 429, "message": "slow down"})),
    ):
        with pytest.raises(GatewayFault) as fault:
            at_server(gateway, behaviour, probe)
        assert not isinstance(fault.value, NotThisGateway)
        assert fault.value.facts["status"] not in (401, 403)
    with pytest.raises(GatewayFault):
        ask(gateway, closed_port(), probe)


@pytest.mark.parametrize(
    ("gateway", "body", "left"),
    [
        ("evolink", {"success": True, "data": {"user": {"remaining_credits": 5}}}, Balance(credits=Decimal(5))),
        (
            "evolink",
            {
                "success": True,
                "data": {
                    "token": {"remaining_credits": 0, "unlimited_credits": True},
                    "user": {"remaining_credits": 7.5},
                },
            },
            Balance(credits=Decimal("7.5")),
        ),
        ("evolink", {"success": True, "data": {}}, Balance()),
        ("gccai", {"remain_balance": -1, "remain_credits": -1, "unlimited_quota": True}, Balance()),
        ("getimg", {"balance": 12.5, "currency": "USD"}, Balance(usd=Decimal("12.5"))),
        ("getimg", {"balance": "12.5", "currency": "EUR"}, Balance()),
    ],
)
def test_balances_are_read_in_their_own_units(gateway: str, body: dict[str, Any], left: Balance) -> None:
    """The smaller of token and user; nothing where it is unlimited or in another currency."""
    assert DIALECTS[gateway].read_balance(body) == left


@pytest.mark.parametrize("gateway", ["evolink", "gccai"])
def test_an_upload_gives_a_link_to_the_same_bytes(gateways: Sandbox, gateway: str) -> None:
    """What is put into the gateway's file service can be fetched from the link it gives, under its own base URL."""
    content = image()
    put = ask(gateway, gateways.bases[gateway], lambda client: client.upload(content, "shoe.jpg", "image/jpeg"))

    async def fetch() -> bytes:
        links = ResultLinks(AllowedHosts.parse("127.0.0.1"))
        try:
            async with links.stream(put.url, None) as response:
                return await response.read()
        finally:
            await links.close()

    assert asyncio.run(fetch()) == content
    assert (put.expires_at is not None) is (gateway == "evolink")
    assert gateways.bill()["submissions"] == 0


@pytest.mark.parametrize("gateway", ["evolink", "gccai"])
def test_an_upload_that_is_refused_is_a_fault(gateways: Sandbox, gateway: str) -> None:
    """What is no image is refused by the gateway, in its own words."""
    with pytest.raises(GatewayFault) as fault:
        ask(gateway, gateways.bases[gateway], lambda client: client.upload(b"no image", "a.jpg", "image/jpeg"))
    assert fault.value.facts["own_body"]


@pytest.mark.parametrize("gateway", ["getimg", "apiin"])
def test_a_gateway_without_a_file_service_says_so(gateway: str) -> None:
    """Nothing is sent where nothing can be put."""
    with pytest.raises(GatewayFault, match="no file service"):
        ask(gateway, closed_port(), lambda client: client.upload(image(), "a.jpg", "image/jpeg"))


def test_uploads_go_to_the_base_url_or_to_the_gateways_own_host() -> None:
    """With a base URL of one's own every helper host lies below it; no other host gets the key."""
    evolink = DIALECTS["evolink"]
    assert evolink.upload_url("https://api.evolink.ai") == "https://files-api.evolink.ai/api/v1/files/upload/stream"
    assert evolink.upload_url("http://host:1/evolink") == "http://host:1/evolink/files/api/v1/files/upload/stream"
    assert DIALECTS["gccai"].upload_url("http://host:1/gccai") == "http://host:1/gccai/v1/uploads/images"


MODEL = {
    "id": "seedream-4-5",
    "supported_aspect_ratios": ["1:1", "16:9"],
    "supported_resolutions": ["2K"],
    "supported_references": {"reference_image": 8},
    "pricing": {
        "currency": "USD",
        "rates": [
            {"billable_unit": "image", "resolution": "2K", "unit_price": "0.04"},
            {"billable_unit": "image", "resolution": None, "unit_price": "0.05"},
            {"billable_unit": "second", "resolution": "4K", "unit_price": "0.9"},
        ],
    },
}


def test_getimg_says_its_limits_at_run_time(gateways: Sandbox) -> None:
    """Its models endpoint gives ratios, tiers, references and prices in force; other gateways and models have none."""
    row = BY_OFFER["getimg", SEEDREAM_45]
    found = ask("getimg", gateways.bases["getimg"], lambda client: client.model_in_force(row))
    assert found is not None
    assert "1:1" in (found.ratios or ())
    assert found.tiers == {"2K", "4K"}
    assert found.references is not None
    assert set(found.usd.values()) == {Decimal("0.04")}
    evolink = BY_OFFER["evolink", SEEDREAM_40]
    assert ask("evolink", closed_port(), lambda client: client.model_in_force(evolink)) is None


def test_getimg_limits_are_read_as_stated() -> None:
    """Decimal prices by tier, counts, sets; what is not stated is not limited."""
    getimg = DIALECTS["getimg"]
    assert getimg.read_model(MODEL) == ModelInForce(
        "getimg.ai models endpoint, at run time",
        frozenset({"1:1", "16:9"}),
        frozenset({"2K"}),
        8,
        {"2K": Decimal("0.04"), "*": Decimal("0.05")},
    )
    assert getimg.read_model({}) == ModelInForce("getimg.ai models endpoint, at run time", None, None, None, {})
    assert (
        getimg.read_model(
            {"pricing": {"currency": "EUR", "rates": [{"billable_unit": "image", "unit_price": "1"}]}}
        ).usd
        == {}
    )


def test_getimg_without_a_model_description_is_a_fault() -> None:
    """A models endpoint that does not answer is not taken for one without limits."""
    row = BY_OFFER["getimg", SEEDREAM_45]
    for answer in (message(404, {"error": {"code": "not_found"}}), message(200, "<html>")):
        with pytest.raises(GatewayFault):
            at_server("getimg", saying(answer), lambda client: client.model_in_force(row))


def test_the_key_never_goes_to_a_download_host() -> None:
    """Images are fetched without any key, through redirects too."""

    async def go() -> tuple[Server, Server]:
        async with Server(saying(message(200, "bytes"))) as target, HttpClients() as http:
            away = message(302, "", Location=f"{target.url}/image.jpg")
            async with Server(saying(message(*DOCUMENTED["getimg"]), away)) as first:
                await GatewayClient(Account("getimg", first.url, KEY), http).probe()
                links = ResultLinks(AllowedHosts.parse("127.0.0.1"))
                async with links.stream(f"{first.url}/link", None) as response:
                    assert await response.read() == b"bytes"
                await links.close()
                return first, target

    first, target = asyncio.run(go())
    assert KEY in first.requests[0].headers["authorization"]
    for request in (first.requests[1], *target.requests):
        assert "authorization" not in request.headers
        assert KEY not in str(request)
    assert [each.path for each in target.requests] == ["/image.jpg"]


def test_a_free_question_does_not_follow_a_redirect() -> None:
    """The key stays with the host it was meant for."""

    async def go() -> Server:
        async with Server(saying(message(*DOCUMENTED["getimg"]))) as target, HttpClients() as http:
            async with Server(saying(message(302, "", Location=target.url))) as first:
                with pytest.raises(GatewayFault):
                    await GatewayClient(Account("getimg", first.url, KEY), http).probe()
            return target

    assert asyncio.run(go()).connections == 0


def test_cookies_are_neither_kept_nor_sent() -> None:
    """Accounts at one host share connections, never a session: only the key says who is billed."""

    async def go() -> Server:
        answer = message(*DOCUMENTED["getimg"], Set_Cookie="session=abc; Path=/")
        async with Server(saying(answer)) as server, HttpClients() as http:
            client = GatewayClient(Account("getimg", server.url, KEY), http)
            for _ in range(2):
                await client.probe()
            return server

    assert all("cookie" not in each.headers for each in asyncio.run(go()).requests)
