"""The deployable flow: `prefect deploy` and workers find it here; everything it does is in the package."""

from seedream_tasks.uploads.flow import watch_uploads

__all__ = ["watch_uploads"]
