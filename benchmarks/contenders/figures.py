"""What was measured of the contenders, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..processes import PrefectServer
from ..usage import cpu_s, peak_mb


@dataclass(frozen=True)
class Figures:
    """One run of one contender."""

    rows: int
    images_s: float  # from the first acceptance to the last image
    whole_s: float  # its process, from start to end
    cpu_s: float  # its process and those it started, user and system
    sandbox_cpu_s: float
    server_cpu_s: float  # Prefect's server, until it had written what it was told
    peak_mb: float  # its process and those it started, each at its own peak
    requests: int

    @property
    def rows_per_s(self) -> float:
        """How fast the images came."""
        return self.rows / self.images_s


Found = Mapping[tuple[int, str], Sequence[Figures]]
_HEADINGS = (
    "contender",
    "rows",
    "rows/s",
    "of bare+verify",
    "whole, s",
    "CPU, ms/row",
    "Prefect server's CPU, ms/row",
    "sandbox's CPU, ms/row",
    "peak memory, MB",
    "requests/row",
)


def _speed(runs: Sequence[Figures]) -> float:
    return median(each.rows_per_s for each in runs)


def _cpu_ms(runs: Sequence[Figures]) -> float:
    return median(1000 * each.cpu_s / each.rows for each in runs)


def table(found: Found, order: Sequence[str]) -> str:
    """All contenders by size, medians of their rounds."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
    for rows, name in sorted(found, key=lambda each: (each[0], order.index(each[1]))):
        runs = found[rows, name]
        speeds = sorted(each.rows_per_s for each in runs)
        spread = f" ({speeds[0]:.0f} to {speeds[-1]:.0f})" if len(runs) > 1 else ""
        yardstick = found.get((rows, "bare+verify"))
        server_ms = median(1000 * each.server_cpu_s / rows for each in runs)
        cells = [
            name,
            f"{rows:,}",
            f"{_speed(runs):.0f}{spread}",
            f"{_speed(runs) / _speed(yardstick):.2f}" if yardstick else "",
            f"{median(each.whole_s for each in runs):.1f}",
            f"{_cpu_ms(runs):.1f}",
            "" if name.startswith("bare") else f"{server_ms:.1f}",
            f"{median(1000 * each.sandbox_cpu_s / rows for each in runs):.1f}",
            f"{median(each.peak_mb for each in runs):.0f}",
            f"{median(each.requests / rows for each in runs):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def startup(server: PrefectServer) -> str:
    """What Prefect's server takes by itself, in a line."""
    return (
        f"Prefect's server: ready after {server.seconds:.1f} s and {server.startup_cpu_s:.1f} s of CPU; in all,"
        f" {cpu_s(server.pid):.1f} s of CPU and {peak_mb(server.pid):.0f} MB at its peak."
    )


def goals(found: Found) -> str:
    """What follows from the table: the ratios that count, and CPU without the fixed cost of a start."""
    lines = ["| | rows | |", "|---|---|---|"]
    sizes = sorted({rows for rows, _ in found})
    for rows in sizes:
        of = {name: found[size, name] for size, name in found if size == rows}
        for one, other in (("ours-chunk", "bare+verify"), ("ours-chunk", "naive"), ("ours-row", "task-per-row")):
            if one in of and other in of:
                lines.append(f"| {one} : {other}, rows/s | {rows:,} | {_speed(of[one]) / _speed(of[other]):.2f} |")
        if {"ours-chunk", "bare", "bare+verify"} <= of.keys():
            verification = _cpu_ms(of["bare+verify"]) - _cpu_ms(of["bare"])
            rest = _cpu_ms(of["ours-chunk"]) - verification
            lines.append(f"| verification (bare+verify less bare), CPU in ms/row | {rows:,} | {verification:.1f} |")
            lines.append(f"| ours-chunk besides verification, CPU in ms/row, start included | {rows:,} | {rest:.1f} |")
    if len(sizes) > 1:
        lines += _beyond_the_start(found, sizes[0], sizes[-1])
    return "\n".join(lines)


def _beyond_the_start(found: Found, small: int, large: int) -> list[str]:
    """CPU per further row: between two sizes the start (imports, opening, Prefect's client) cancels out."""

    def further(name: str) -> float:
        few, many = found[small, name], found[large, name]
        return 1000 * (median(e.cpu_s for e in many) - median(e.cpu_s for e in few)) / (large - small)

    names = [name for name in ("bare", "bare+verify", "task-per-row", "ours-row", "ours-chunk")
             if (small, name) in found and (large, name) in found]  # fmt: skip
    between = f"{small:,} to {large:,}"
    lines = [f"| {name}, CPU in ms per further row | {between} | {further(name):.1f} |" for name in names]
    if {"bare", "bare+verify", "ours-chunk"} <= set(names):
        rest = further("ours-chunk") - (further("bare+verify") - further("bare"))
        lines.append(f"| ours-chunk besides verification, CPU in ms per further row | {between} | {rest:.1f} |")
    return lines
