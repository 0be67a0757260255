"""Everything that could be used for this job, side by side: `python -m benchmarks.contenders --help`."""
