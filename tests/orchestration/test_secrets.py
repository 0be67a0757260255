"""Links with signatures, and addresses with passwords: nothing of them is left in what Prefect keeps and a run writes."""

import asyncio
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError
from prefect.logging.handlers import APILogHandler
from runs import products
from sandbox_process import Sandbox
from web_server import Web, serving

from seedream_tasks import (
    Job,
    SeedreamLedger,
    catalog_images,
    collect_images,
    emit_catalog_uploaded,
    process_shard,
    submit_job,
    watch_uploads,
)
from seedream_tasks.core.errors import ConfigurationError, InputError
from seedream_tasks.orchestration.session import place_for
from seedream_tasks.orchestration.single_jobs import settings_for

SIGNED = "X-Amz-Date=1&X-Amz-Signature=SECRET"
SHOTS = b"""\
shots:
  - {name: a, prompt: 'Product {{ sku }}'}
  - {name: b, operation: edit, prompt: x, references: ['{{ photo }}'], when: "sku == 'p1'"}
"""


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as found:
        yield found


# Wherever in a ledger's URL a password can be.
WITH_PASSWORD = [
    "postgresql://me:SECRET@127.0.0.1/name",
    "postgresql+psycopg://me:SECRET@127.0.0.1/name?sslmode=disable",
    "postgresql://me@127.0.0.1/name?password=SECRET",
    "postgresql://127.0.0.1/name?user=me&sslpassword=SECRET",
]
MUG = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug")


async def _kept(run_id: Any) -> str:
    """Everything that Prefect keeps of a flow run, as text."""
    await APILogHandler.aflush()
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
        artifacts = await client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])))
        states = await client.read_flow_run_states(run_id)
    return "\n".join(str(each) for each in (run.parameters, run.name, run.state, *artifacts, *logs, *states))


def test_a_signed_catalog_is_read_and_its_signature_kept_nowhere(gateways: Sandbox, web: Web, tmp_path: Path) -> None:
    """Catalog and shots come by signed links, a reference by one that is refused: no signature is kept or told."""
    rows = products(tmp_path / "c.csv", 2, photo=f"{web.base}/photo.jpg?v=7&{SIGNED}").read_bytes()
    catalog = f"{web.serve('/goods.csv', rows)}?{SIGNED}"
    shots = f"{web.serve('/shots.yaml', SHOTS)}?{SIGNED}"
    state: State[Any] = asyncio.run(
        catalog_images(catalog, shots=shots, archive=str(tmp_path / "a"), gateways=["evolink"], return_state=True)
    )
    result = asyncio.run(state.aresult())
    assert result["by_status"] == {"archived": 2, "invalid": 1, "skipped": 1}
    kept = asyncio.run(_kept(result["run_id"]))
    assert "/goods.csv'" in kept
    assert "/photo.jpg" in kept
    assert "SECRET" not in kept
    told = "".join(
        path.read_text("utf-8", "replace")
        for path in (tmp_path / "a" / "runs" / result["run_id"]).iterdir()
        if path.suffix in (".json", ".html")
    )
    assert "goods.csv" in told
    assert "Signature=SECRET" not in told.replace(f"?v=7&{SIGNED}", "")  # the catalog's own column is its owner's
    assert any("Signature=SECRET" in path for path, _ in web.asked)


def test_a_flow_that_fails_tells_no_password(tmp_path: Path) -> None:
    """An address with a password is refused, and Prefect keeps neither it nor a ledger's password."""
    runs: list[Any] = []
    for given in (
        {"catalog": "https://me:SECRET@shop.example/a.csv"},
        {"catalog": "simplecache::s3://KEY:SEC/RET@shop/a.csv"},
        {"catalog": "a.csv", "prices": "https://SECRET@shop.example/p.yaml"},
        {"catalog": "a.csv", "ledger": "postgresql://me:SECRET@host/name"},
        {"catalog": "a.csv", "ledger": "postgresql://me@host/name?password=SECRET"},
        {"catalog": "a.csv", "ledger": "postgresql://me:SEC@RET/PW@host/name"},
    ):
        state: State[Any] = asyncio.run(catalog_images(**given, archive=str(tmp_path / "a"), return_state=True))
        error = asyncio.run(state.aresult(raise_on_failure=False))
        assert isinstance(error, InputError | ConfigurationError)
        assert "SEC" not in f"{error} {error!r}"
        runs.append(state.state_details.flow_run_id)
    kept = "".join(asyncio.run(_kept(each)) for each in runs)
    assert "shop.example/a.csv" in kept
    assert "SEC" not in kept
    assert "RET/" not in kept


def test_a_deployment_that_was_given_a_signed_link_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its parameters stand in Prefect's database already; a link without a signature is taken."""
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some-deployment")
    state: State[Any] = asyncio.run(
        catalog_images(f"https://shop.example/a.csv?{SIGNED}", archive=str(tmp_path / "a"), return_state=True)
    )
    error = asyncio.run(state.aresult(raise_on_failure=False))
    assert isinstance(error, InputError)
    assert error.facts["code"] == "secret_in_parameter"
    assert not (tmp_path / "a").exists()


def test_the_flow_with_other_options_is_as_discreet(caplog: pytest.LogCaptureFixture) -> None:
    """`with_options` makes a new flow; what does not validate is logged by Prefect, without secrets."""
    other = catalog_images.with_options(name="mine")
    assert other.serialize_parameters({"catalog": "https://h/a.csv?sig=SECRET", "only": ["a"]}) == {
        "catalog": "https://h/a.csv",
        "only": ["a"],
    }
    with pytest.raises(ParameterTypeError):
        asyncio.run(other(catalog="https://h/a.csv?sig=SECRET", wait_s="long"))  # type: ignore[arg-type]
    assert "SECRET" not in caplog.text


def test_what_is_announced_holds_no_secret() -> None:
    """Events are kept in plain text, and start deployments: signed links and passwords are refused there."""
    with pytest.raises(InputError):
        emit_catalog_uploaded(f"https://shop.example/a.csv?{SIGNED}", digest="0" * 64)
    with pytest.raises(InputError):
        asyncio.run(watch_uploads("sftp://me:SECRET@host/in"))


@pytest.mark.parametrize("ledger", WITH_PASSWORD)
def test_every_flow_and_task_refuses_a_ledger_url_with_a_password(ledger: str, tmp_path: Path) -> None:
    """A parameter is stored in plain text: refused before the archive is touched, by the one rule, and not repeated."""
    archive = str(tmp_path / "a")
    for asked in (
        lambda: catalog_images("a.csv", archive=archive, ledger=ledger),
        lambda: collect_images(archive=archive, ledger=ledger),
        lambda: watch_uploads(str(tmp_path), archive=archive, ledger=ledger),
        lambda: submit_job(MUG, archive=archive, ledger=ledger),
    ):
        with pytest.raises(ConfigurationError, match="the ledger's URL holds a password") as refused:
            asyncio.run(asked())
        assert "SECRET" not in f"{refused.value} {refused.value.as_json()}"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("ledger", WITH_PASSWORD)
@pytest.mark.parametrize("given", ["block", "environment"])
def test_shards_and_tasks_are_handed_no_password_of_a_ledger(
    ledger: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a block its name is handed on, from the environment nothing: each process looks the password up by itself."""
    if given == "block":
        asyncio.run(SeedreamLedger(url=ledger).asave("with-password", overwrite=True))
        named: str | None = "seedream-ledger/with-password"
    else:
        monkeypatch.setenv("SEEDREAM_LEDGER", ledger)
        named = None
    settings = asyncio.run(settings_for(str(tmp_path / "a"), named, None, None, None, 1.0))
    assert settings.ledger == named
    assert b"SECRET" not in pickle.dumps(settings)
    assert asyncio.run(place_for(settings)).ledger_url == ledger


def test_a_shard_that_is_handed_a_password_refuses_it(tmp_path: Path) -> None:
    """Its parameters are stored too: whoever starts one by hand gives a block's name."""
    handed = asyncio.run(settings_for(str(tmp_path / "a"), None, None, None, None, 1.0))
    with pytest.raises(ConfigurationError, match="the ledger's URL holds a password"):
        asyncio.run(process_shard("some-run", replace(handed, ledger=WITH_PASSWORD[2]), 0, 1))
