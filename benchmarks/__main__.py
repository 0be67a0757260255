"""The short version of all benchmarks, one after the other: `make bench`, under five minutes on two cores.

Each is a command of its own, `python -m benchmarks.NAME`; with more rows and rounds it makes the tables of docs/performance.md.
"""

import argparse
import subprocess
import sys
import time

from .processes import ROOT, clean_environment

# In the order of the documentation. A new benchmark is a module with a `main` that prints Markdown, and a line here.
SHORT: dict[str, list[str]] = {
    "contenders": ["--rows", "300"],
    "transport": ["--seconds", "1", "--at-once", "16", "200"],
    "loop_lag": ["--rows", "200"],
    "archiving": ["--images", "300"],
    "plan": ["--rows", "100000"],
    "ledger": ["--jobs", "3000"],
    "polling": ["--in-flight", "1000"],
    "growth": ["--rows", "300"],
}


def main() -> int:
    """Run them; exit 1 if one of them failed."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SHORT), default=list(SHORT), metavar="NAME")
    failed = []
    for name in parser.parse_args().only:
        print(f"## {name}\n", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *SHORT[name]]
        if subprocess.run(command, env=clean_environment(), cwd=ROOT).returncode != 0:
            failed.append(name)
        print(f"\n({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
