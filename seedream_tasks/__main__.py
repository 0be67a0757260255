"""`python -m seedream_tasks` is `seedream`."""

from .cli.main import main

main()
