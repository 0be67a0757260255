"""Whole runs with short waits."""

from short_waits import short_waits

__all__ = ["short_waits"]
