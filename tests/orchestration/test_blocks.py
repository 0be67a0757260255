"""Blocks on a real Prefect server: they keep what a run needs, and a key goes from there to the gateway and nowhere else."""

import asyncio
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from on_offer import GATEWAYS
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr, ValidationError
from runs import products, read
from sandbox_process import Sandbox

from seedream_tasks import (
    Job,
    SeedreamGateway,
    SeedreamLedger,
    catalog_images,
    collect_images,
    submit_job,
)
from seedream_tasks.core.errors import ConfigurationError, SeedreamError
from seedream_tasks.orchestration.run_settings import access_to
from seedream_tasks.orchestration.session import access_for, place_for
from seedream_tasks.orchestration.single_jobs import settings_for

KEY = "sk-evo-4f1d9a77c0ffee-never-shown"
MUG = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug", n=2)


class TestGatewayStandard(BlockStandardTestSuite):
    """Prefect's own checks of a block; the icon is in the package, so its check needs no network."""

    @pytest.fixture
    def block(self) -> type[SeedreamGateway]:
        return SeedreamGateway


class TestLedgerStandard(BlockStandardTestSuite):
    """The same for the ledger's block."""

    @pytest.fixture
    def block(self) -> type[SeedreamLedger]:
        return SeedreamLedger


def _saved(sandbox: Sandbox, name: str = "my-evolink", gateway: Any = "evolink", **more: Any) -> str:
    block = SeedreamGateway(gateway=gateway, api_key=KEY, base_url=sandbox.bases[gateway], **more)
    asyncio.run(block.asave(name, overwrite=True))
    return f"seedream-gateway/{name}"


def test_a_block_offers_every_gateway_there_is() -> None:
    """The form's choices are the gateways that the engine knows; another name is refused with theirs."""
    assert SeedreamGateway.model_json_schema()["properties"]["gateway"]["enum"] == list(GATEWAYS)
    with pytest.raises(ValidationError, match=f"unknown gateway 'nobody'; known: {', '.join(GATEWAYS)}"):
        SeedreamGateway(gateway="nobody", api_key=SecretStr("key"))


def test_prefect_finds_and_registers_both_blocks() -> None:
    """`prefect block register -m seedream_tasks`, as in the docs; the icon stays here, Prefect takes only web addresses."""
    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "seedream_tasks"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    async def look() -> list[str]:
        async with get_client() as client:
            found = [await client.read_block_type_by_slug(slug) for slug in ("seedream-gateway", "seedream-ledger")]
        return [each.name for each in found]

    assert asyncio.run(look()) == ["Seedream Gateway", "Seedream Ledger"]


def test_the_package_and_the_commands_that_need_no_prefect_load_none() -> None:
    """Prefect takes seconds to import; `import seedream_tasks` and all commands but `run` go without it."""
    code = (
        "import sys, seedream_tasks, seedream_tasks.cli.plan, seedream_tasks.cli.attempts, seedream_tasks.cli.resolve,"
        " seedream_tasks.cli.cap, seedream_tasks.cli.gateways, seedream_tasks.cli.ledger, seedream_tasks.cli.collect;"
        " sys.exit('prefect' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_run_by_block_names_pays_with_the_blocks_key_and_the_key_is_nowhere_else(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Gateway and ledger by block, nothing in the environment: bought, archived; no key in Prefect's database, logs or files."""
    caplog.set_level(logging.DEBUG)
    ledger = f"sqlite:///{tmp_path / 'kept' / 'ledger.db'}"
    asyncio.run(SeedreamLedger(url=ledger).asave("prod", overwrite=True))
    sandbox.faults([{"gateway": "*", "kind": "reject_content", "match": "number 1", "rate": 1}])
    state: Any = asyncio.run(
        catalog_images(
            str(products(tmp_path / "c.csv", 3)),
            archive=str(tmp_path / "a"),
            ledger="seedream-ledger/prod",
            gateways=[_saved(sandbox)],
            return_state=True,
        )
    )
    result = asyncio.run(state.aresult())
    assert result["by_status"] == {"archived": 2, "failed": 1}
    assert (tmp_path / "kept" / "ledger.db").exists()
    assert Decimal(result["billed_usd"]) == Decimal(sandbox.bill()["usd"])
    assert KEY not in caplog.text
    assert KEY not in state.model_dump_json(exclude={"data"})
    assert list(_files_with(KEY, tmp_path)) == []
    assert list(_files_with(KEY, _prefect_database().parent)) == []
    assert list(
        _files_with("seedream-gateway/my-evolink", _prefect_database().parent)
    )  # what is searched is what is stored


def _prefect_database() -> Path:
    return Path(str(get_current_settings().server.database.connection_url.get_secret_value()).partition("///")[2])


def _files_with(text: str, folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and text.encode() in path.read_bytes():
            yield path


def test_keys_and_passwords_do_not_travel_with_a_runs_settings(sandbox: Sandbox, tmp_path: Path) -> None:
    """What a task gets, in whatever process, are names; a ledger's password stays where the block or the environment has it."""
    secret = "postgresql://seedream:s3cret-of-the-ledger@127.0.0.1/x"
    asyncio.run(SeedreamLedger(url=secret).asave("remote", overwrite=True))
    name = _saved(sandbox)
    settings = asyncio.run(settings_for(str(tmp_path / "a"), "seedream-ledger/remote", [name], None, None, 1.0))
    sent = pickle.dumps(settings)
    assert KEY.encode() not in sent
    assert b"s3cret" not in sent
    assert asyncio.run(place_for(settings)).ledger_url == secret
    access = asyncio.run(access_for(settings))
    assert access.accounts["evolink"].key == KEY
    assert KEY not in repr(access)


def test_a_password_in_a_parameter_is_refused(tmp_path: Path) -> None:
    """Parameters are stored and shown: the message says where a password belongs, and does not repeat it."""
    with pytest.raises(ConfigurationError, match="SEEDREAM_LEDGER") as caught:
        asyncio.run(settings_for(str(tmp_path), "postgresql://u:hunter2@127.0.0.1/x", None, None, None, 1.0))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"gateway": "gccai"}, "no default base URL"),
        ({"gateway": "evolink", "base_url": "ftp://x"}, "not an http"),
        ({"gateway": "evolink", "prices": {"seedream-4.5": {"2K": {"usd": 1}}}}, "prices_as_of"),
        ({"gateway": "evolink", "prices": {"seedream-9": {}}, "prices_as_of": "2026-01-01"}, "unknown model"),
        ({"gateway": "fal"}, "evolink"),
        ({"gateway": "evolink", "api_key": " "}, "empty"),
    ],
)
def test_a_block_that_cannot_work_is_not_made(fields: dict[str, Any], what: str) -> None:
    """Wrong fields are said when the block is filled in, without the key in the message."""
    with pytest.raises((ValidationError, SeedreamError), match=what) as caught:
        SeedreamGateway(**{"api_key": KEY, **fields})
    assert KEY not in str(caught.value)


def test_a_ledger_block_that_is_no_ledger_does_not_repeat_its_password() -> None:
    """A typing error in the URL shows no password."""
    with pytest.raises((ValidationError, SeedreamError)) as caught:
        SeedreamLedger(url="mysql://u:hunter2@127.0.0.1/x")
    assert "hunter2" not in str(caught.value)


def test_a_gateway_is_named_once(gateways: Sandbox) -> None:
    """The environment's account and a block's at one gateway cannot serve one run."""
    with pytest.raises(ConfigurationError, match="evolink is named twice"):
        asyncio.run(access_to(["evolink", _saved(gateways)]))


def test_a_block_that_is_not_there_is_a_clear_error() -> None:
    """The message names the block and how to list them."""
    with pytest.raises(ConfigurationError, match="seedream-gateway/nobody") as caught:
        asyncio.run(access_to(["seedream-gateway/nobody"]))
    assert "prefect block ls" in caught.value.facts["hint"]


def test_names_from_the_environment_and_blocks_go_together(gateways: Sandbox) -> None:
    """`gateways=["getimg", "seedream-gateway/my-evolink"]`: each account from where its word says."""
    access = asyncio.run(access_to(["getimg", _saved(gateways, in_flight=3)]))
    assert {name: each.key for name, each in access.accounts.items()} == {"getimg": "key-of-getimg", "evolink": KEY}
    assert access.limits["evolink"].in_flight == 3
    assert "getimg" not in access.limits


def test_a_blocks_prices_are_its_accounts_prices(sandbox: Sandbox, tmp_path: Path) -> None:
    """A contract's price decides quote and cap; the manifest says of which day it is. A run's price file stands above it."""
    name = _saved(sandbox, prices={"seedream-4.5": {"*": {"usd": "0.02"}}}, prices_as_of="2026-03-01")
    parameters: dict[str, Any] = {"archive": str(tmp_path / "a"), "gateways": [name], "max_usd": "0.05"}
    result: Any = asyncio.run(catalog_images(str(products(tmp_path / "c.csv", 3)), **parameters))
    (tmp_path / "prices.yaml").write_text("evolink: {seedream-4.5: {'*': {usd: 0.05}}}")
    other = asyncio.run(access_to([name], str(tmp_path / "prices.yaml")))
    assert Decimal(result["quoted_usd"]) == Decimal("0.04")
    assert {str(each["price_as_of"]) for each in read(tmp_path / "a", result["run_id"]) if each["price_as_of"]} == {
        "2026-03-01"
    }
    assert [row.usd for row in other.prices] == [Decimal("0.02"), Decimal("0.05")]


def test_trigger_wait_and_fetch_make_archived_images_and_a_retry_buys_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """The JobBlock pair Prefect's users expect; a flow that fails after buying and is retried pays once."""
    _saved(sandbox)
    tries: list[list[str]] = []

    @flow(retries=1)
    async def mine() -> list[str]:
        gateway = await SeedreamGateway.aload("my-evolink")
        run = await gateway.trigger(MUG, archive=str(tmp_path / "a"), max_usd="0.10")
        tries.append(run.attempt_ids)
        if len(tries) == 1:
            raise RuntimeError("after it is bought, before its ids are kept")
        await run.wait_for_completion()
        return await run.fetch_result()

    uris = asyncio.run(mine())
    assert len(uris) == 2
    assert all(Path(each).stat().st_size for each in uris)
    assert tries[0] == tries[1]
    assert sandbox.bill()["images"] == 2


def test_what_cannot_be_bought_says_why_and_what_to_do(sandbox: Sandbox, tmp_path: Path) -> None:
    """No image is no success: over the cap, refused, or asked for before the gateway is done."""
    block = SeedreamGateway(gateway="evolink", api_key=KEY, base_url=sandbox.bases["evolink"])
    place = str(tmp_path / "a")
    with pytest.raises(SeedreamError, match="raise the cap"):
        asyncio.run(block.trigger(MUG, archive=place, max_usd="0.01"))
    sandbox.faults([{"gateway": "*", "kind": "reject_content", "rate": 1}])
    with pytest.raises(SeedreamError, match="Change the prompt"):
        asyncio.run(block.trigger(MUG, archive=place))
    assert sandbox.bill()["images"] == 0
    sandbox.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    cup = Job(row_key="cup", shot="hero", model="seedream-4.5", operation="generate", prompt="A cup")

    async def too_early() -> None:
        run = await block.trigger(cup, archive=place, wait_s=0.1)
        with pytest.raises(SeedreamError, match=r"accepted.*seedream collect"):
            await run.fetch_result()
        await run.wait_for_completion()

    with pytest.raises(SeedreamError, match="none of these attempts delivered"):
        asyncio.run(too_early())
    assert sandbox.bill()["accepted"] == 1


def test_gateways_in_one_flow_run_keep_to_their_own_accounts(sandbox: Sandbox, tmp_path: Path) -> None:
    """Two blocks at work at once under one flow run buy each at its own gateway."""
    names = [_saved(sandbox, f"my-{name}", name) for name in ("evolink", "getimg")]

    @flow
    async def both() -> None:
        blocks = [await SeedreamGateway.aload(name.partition("/")[2]) for name in names]
        jobs = [
            Job(row_key=f"r{n}", shot="hero", model="seedream-4.5", operation="generate", prompt=f"Cup {n}")
            for n in range(2)
        ]
        runs = await asyncio.gather(
            *(block.trigger(job, archive=str(tmp_path / "a")) for block, job in zip(blocks, jobs, strict=True))
        )
        for run in runs:
            await run.wait_for_completion()

    asyncio.run(both())
    by_gateway = {name: each["images"] for name, each in sandbox.bill()["by_gateway"].items() if each["images"]}
    assert by_gateway == {"evolink": 1, "getimg": 1}


def test_a_client_answers_free_questions(sandbox: Sandbox) -> None:
    """`get_client` is the credentials block's way to the account: its balance, say."""

    async def ask() -> Any:
        block = SeedreamGateway(gateway="evolink", api_key=KEY, base_url=sandbox.bases["evolink"])
        async with block.get_client() as client:
            return (await client.probe()).balance

    assert asyncio.run(ask()) is not None


def test_tasks_take_block_names_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """`submit_job(job, gateways=["seedream-gateway/my-evolink"])` buys with the block's key."""
    name = _saved(sandbox)
    job = Job(row_key="a", shot="b", model="seedream-4.5", operation="generate", prompt="A bowl")

    @flow
    async def mine() -> list[str]:
        bought: list[str] = await submit_job(job, archive=str(tmp_path / "a"), gateways=[name])
        return bought

    assert len(asyncio.run(mine())) == 1


def test_what_was_bought_with_a_blocks_key_is_collected_with_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """An attempt is asked for at its own account: `collect_images` takes the same words, and buys nothing."""
    asyncio.run(SeedreamLedger(url=f"sqlite:///{tmp_path / 'kept' / 'ledger.db'}").asave("prod", overwrite=True))
    place: dict[str, Any] = {
        "archive": str(tmp_path / "a"),
        "ledger": "seedream-ledger/prod",
        "gateways": [_saved(sandbox)],
    }
    sandbox.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    left: Any = asyncio.run(catalog_images(str(products(tmp_path / "c.csv", 2)), wait_s=0.2, **place))
    assert left["by_status"] == {"in_flight": 2}
    sandbox.faults([])
    sandbox.advance(4000)
    done: Any = asyncio.run(collect_images(**place))
    assert (done["archived"], done["still_in_flight"]) == (2, 0)
    assert sandbox.bill()["accepted"] == 2
