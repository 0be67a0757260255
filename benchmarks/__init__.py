"""How fast it is, how much it takes, and beside what. Each module is one command: `python -m benchmarks.NAME --help`."""
