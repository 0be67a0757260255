"""seedream_tasks: a product catalog in, archived and verified Seedream pictures out, every cent accounted for."""

from .version import __version__

__all__ = ["__version__"]
