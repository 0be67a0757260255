"""getimg's official client is an independent witness: it understands the sandbox as it does the gateway."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import getimg
import pytest
from gateway_calls import opened
from sandbox_process import Sandbox, start_sandbox


@pytest.fixture(scope="module")
def quick() -> Iterator[Sandbox]:
    with start_sandbox("--seconds", "0", "--image-px", "96") as sandbox:
        yield sandbox


@pytest.fixture
def client(quick: Sandbox) -> Iterator[getimg.GetimgAI]:
    quick.reset()
    with getimg.GetimgAI(api_key="sk_test", base_url=quick.bases["getimg"], max_retries=0) as client:
        yield client


def test_generation(client: getimg.GetimgAI, quick: Sandbox) -> None:
    """The client's model of a finished generation is filled, and its link leads to an image."""
    result = client.images.generate(model="seedream-4-5", prompt="a shoe", aspect_ratio="16:9", resolution="4K")
    assert (result.status, result.model, result.usage.total_cost) == ("completed", "seedream-4-5", 0.04)
    assert result.data[0].deletes_at > datetime.now(UTC)
    assert opened(quick.http.get(result.data[0].url).content).size == (result.data[0].width, result.data[0].height)


def test_models(client: getimg.GetimgAI) -> None:
    """The model describes its limits and its price."""
    model = client.models.retrieve("seedream-4-5")
    assert model.supported_references == {"reference_image": 10}
    assert {rate.resolution: rate.unit_price for rate in model.pricing.rates} == {"2K": "0.04", "4K": "0.04"}
    assert [model.id for model in client.models.list(type="image")] == ["seedream-4-5"]
    assert client.models.list(type="video") == []
    with pytest.raises(getimg.NotFoundError):
        client.models.retrieve("nothing")


def test_balance_and_costs(client: getimg.GetimgAI, quick: Sandbox) -> None:
    """The balance is a decimal string, costs come in days, both follow the calls."""
    for _ in range(3):
        client.images.generate(model="seedream-4-5", prompt="a shoe")
    assert client.billing.retrieve_balance().balance == "999.88"
    quick.advance(24 * 3600)
    client.images.generate(model="seedream-4-5", prompt="a shoe")
    now = datetime.now(UTC)
    costs = client.billing.list_costs(start=now - timedelta(days=1), end=now + timedelta(days=2))
    assert costs.total_cost == 0.16
    assert [day.cost for day in costs.data] == [0, 0.12, 0.04, 0]
    with pytest.raises(getimg.BadRequestError):
        client.billing.list_costs(start=now, end=now - timedelta(days=1))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reject_401", getimg.AuthenticationError),
        ("reject_402", getimg.APIStatusError),
        ("reject_429", getimg.RateLimitError),
        ("reject_content", getimg.UnprocessableEntityError),
        ("http_500", getimg.InternalServerError),
        ("http_503", getimg.InternalServerError),
        ("drop_response", getimg.APIConnectionError),
    ],
)
def test_errors(client: getimg.GetimgAI, quick: Sandbox, kind: str, error: type[Exception]) -> None:
    """Each error arrives as the client's own."""
    quick.faults([{"kind": kind}])
    with pytest.raises(error):
        client.images.generate(model="seedream-4-5", prompt="a shoe")


def test_wrong_parameters(client: getimg.GetimgAI) -> None:
    """A refused parameter is named in the body that the client hands on."""
    with pytest.raises(getimg.BadRequestError) as caught:
        client.images.generate(model="seedream-4-5", prompt="a shoe", resolution="1K")
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["param"] == "resolution"
