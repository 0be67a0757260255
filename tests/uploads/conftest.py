"""Where uploads are announced."""

from serving import prefect

__all__ = ["prefect"]
