"""The public names as a type checker sees them: every name of `seedream_tasks.__all__`, used as a caller would.

Never run. `make lint` checks it against the source, the wheel's test against an installed wheel (which has `py.typed`). A line
that must be wrong ends in the error that it must give: where the checker finds none, the ignore is unused, and that is an error.
"""

from collections.abc import Coroutine
from typing import Any, assert_type

import pandas
from prefect import Flow, Task

import seedream_tasks
from seedream_tasks import (
    GatewayRefused,
    IncompleteRun,
    InputError,
    Job,
    NoGateway,
    NoPrice,
    NotBought,
    NothingArchived,
    NothingDelivered,
    OverCap,
    Reference,
    SeedreamError,
    SeedreamGateway,
    SeedreamLedger,
    archive_job,
    catalog_images,
    collect_images,
    emit_catalog_uploaded,
    plan_jobs,
    process_chunk,
    process_shard,
    read_manifest,
    submit_job,
    wait_for_job,
    watch_uploads,
    write_manifest,
)

assert_type(seedream_tasks.__version__, str)

# Values.
job = Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug", n=2)
assert_type(job, Job)
assert_type(Job.from_row({"sku": "mug", "title": "Mug"}, {"name": "hero", "prompt": "{{ title }}"}, key="sku"), Job)
assert_type(job.references, tuple[Reference, ...])
assert_type(Reference("https://shop.example/mug.jpg", None).uri, str)
Job(row_key="mug", shot="hero", model="seedream-4.5", operation="generate", prompt="A blue mug", n="2")  # type: ignore[arg-type]
Job(row_key="mug")  # type: ignore[call-arg]

# Errors: one tree, whose every member may be caught by its base.
errors: list[type[SeedreamError]] = [
    InputError,
    IncompleteRun,
    OverCap,
    NotBought,
    NothingDelivered,
    NothingArchived,
]
not_bought: list[type[NotBought]] = [NoGateway, NoPrice, GatewayRefused]
not_input: type[InputError] = OverCap  # type: ignore[assignment]
assert_type(InputError("no such column", field="key").message, str)
assert_type(IncompleteRun("2 failed").result, dict[str, Any])

# A manifest, and an upload that is announced.
assert_type(read_manifest("seedream-out/manifest.parquet"), pandas.DataFrame)
assert_type(emit_catalog_uploaded("s3://shop/products.csv", digest="0" * 64, size=1), bool)
emit_catalog_uploaded()  # type: ignore[call-arg]

# Flows and tasks are Prefect's, with their parameters.
flows: list[Flow[..., Coroutine[Any, Any, Any]]] = [catalog_images, collect_images, process_shard, watch_uploads]
planned: Task[..., Coroutine[Any, Any, Any]] = plan_jobs
processed: Task[..., Coroutine[Any, Any, Any]] = process_chunk
written: Task[..., Coroutine[Any, Any, Any]] = write_manifest
deployed: Flow[..., Any] = catalog_images.with_options(name="weekly")


async def in_a_flow_of_ones_own() -> None:
    """Each of them awaited."""
    assert_type(await submit_job(job, archive="s3://shop/images", ledger="seedream-ledger/prod"), list[str])
    assert_type(await wait_for_job(["attempt"], wait_s=60), list[str])
    assert_type(await archive_job(["attempt"]), list[str])
    await catalog_images("products.csv", shots="shots.yaml", max_usd="25", granularity="row", limit=10)
    await collect_images(archive="s3://shop/images", gateways=["evolink"])
    await watch_uploads("s3://shop/uploads", pattern="*.csv")
    await catalog_images("products.csv", granularity="rows")  # type: ignore[call-overload]
    await catalog_images("products.csv", max_dollars=25)  # type: ignore[call-overload]
    await submit_job("mug")  # type: ignore[call-overload]


async def with_blocks() -> None:
    """An account and a ledger that Prefect keeps."""
    gateway = SeedreamGateway(gateway="evolink", api_key="sk-...", in_flight=10)  # type: ignore[arg-type] # pydantic makes a SecretStr of it
    run = await gateway.trigger(job, ledger="seedream-ledger/prod", max_usd="1", wait_s=60)
    await run.wait_for_completion()
    assert_type(await run.fetch_result(), list[str])
    assert_type(SeedreamLedger(url="sqlite:///ledger.db").url.get_secret_value(), str)  # type: ignore[arg-type] # the same
    SeedreamGateway(gateway="fal", api_key="k")  # type: ignore[arg-type]
