"""The deployable flow: `prefect deploy` and workers find it here; everything it does is in the package."""

from seedream_tasks.orchestration.shards import process_shard

__all__ = ["process_shard"]
