"""The deployable flow: `prefect deploy` and workers find it here; everything it does is in the package."""

from seedream_tasks.orchestration.flows import catalog_images

__all__ = ["catalog_images"]
