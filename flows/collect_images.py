"""The deployable flow: `prefect deploy` and workers find it here; everything it does is in the package."""

from seedream_tasks.orchestration.collect_flow import collect_images

__all__ = ["collect_images"]
