"""seedream_tasks: a product catalog in, archived and verified Seedream images out, every cent accounted for."""

import importlib
from typing import TYPE_CHECKING, Any

from .core.market import Market, provide
from .core.printable import clean_loggers
from .version import __version__

# Every logger of the package: one a room.
_ROOMS = (
    *("catalog", "config", "engine", "gateways", "images", "ledger", "maintenance", "orchestration", "planning"),
    *("references", "runs", "server", "uploads"),
)
LOGGERS = tuple(f"seedream_tasks.{room}" for room in _ROOMS)
clean_loggers(LOGGERS)


def _load_market() -> Market:
    from .gateways.registry import load_market

    return load_market()


provide(_load_market)

if TYPE_CHECKING:
    from .core.errors import (  # fmt: skip
        GatewayRefused,
        IncompleteRun,
        InputError,
        NoGateway,
        NoPrice,
        NotBought,
        NothingArchived,
        NothingDelivered,
        OverCap,
        SeedreamError,
    )
    from .core.jobs import Job, Reference
    from .orchestration.blocks import SeedreamGateway, SeedreamLedger
    from .orchestration.collect_flow import collect_images
    from .orchestration.flows import catalog_images
    from .orchestration.shards import process_shard
    from .orchestration.tasks import (
        archive_job,
        plan_jobs,
        process_chunk,
        submit_job,
        wait_for_job,
        write_manifest,
    )
    from .runs.manifest import read_manifest
    from .uploads.flow import emit_catalog_uploaded, watch_uploads

# Loaded when they are asked for: Prefect takes seconds to import, and most of the command line does without it.
_PLACES = {
    "GatewayRefused": "core.errors",
    "IncompleteRun": "core.errors",
    "InputError": "core.errors",
    "Job": "core.jobs",
    "NoGateway": "core.errors",
    "NoPrice": "core.errors",
    "NotBought": "core.errors",
    "NothingArchived": "core.errors",
    "NothingDelivered": "core.errors",
    "OverCap": "core.errors",
    "Reference": "core.jobs",
    "SeedreamError": "core.errors",
    "SeedreamGateway": "orchestration.blocks",
    "SeedreamLedger": "orchestration.blocks",
    "archive_job": "orchestration.tasks",
    "catalog_images": "orchestration.flows",
    "collect_images": "orchestration.collect_flow",
    "emit_catalog_uploaded": "uploads.flow",
    "plan_jobs": "orchestration.tasks",
    "process_chunk": "orchestration.tasks",
    "process_shard": "orchestration.shards",
    "read_manifest": "runs.manifest",
    "submit_job": "orchestration.tasks",
    "wait_for_job": "orchestration.tasks",
    "watch_uploads": "uploads.flow",
    "write_manifest": "orchestration.tasks",
}

__all__ = [
    "GatewayRefused",
    "IncompleteRun",
    "InputError",
    "Job",
    "NoGateway",
    "NoPrice",
    "NotBought",
    "NothingArchived",
    "NothingDelivered",
    "OverCap",
    "Reference",
    "SeedreamError",
    "SeedreamGateway",
    "SeedreamLedger",
    "__version__",
    "archive_job",
    "catalog_images",
    "collect_images",
    "emit_catalog_uploaded",
    "plan_jobs",
    "process_chunk",
    "process_shard",
    "read_manifest",
    "submit_job",
    "wait_for_job",
    "watch_uploads",
    "write_manifest",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    # `prefect block register -m seedream_tasks` looks through what the module says it has.
    return sorted({*globals(), *_PLACES})
