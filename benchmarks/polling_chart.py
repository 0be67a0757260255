"""The curves of benchmarks/polling.py as one SVG that reads on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 720, 420  # px
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 40, 52
_MOST_REQUESTS, _MOST_DELAY_S = 16.0, 6.0
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#24292f}.grid{stroke:#d0d7de}.axis{stroke:#57606a}
.c0{stroke:#8250df}.c1{stroke:#0969da}.c2{stroke:#1a7f37}.d0{fill:#8250df}.d1{fill:#0969da}.d2{fill:#1a7f37}
.goal{fill:#1a7f37;fill-opacity:.1}.line{fill:none;stroke-width:2}.mark{fill:none;stroke-width:2}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.axis{stroke:#8b949e}
.c0{stroke:#bc8cff}.c1{stroke:#58a6ff}.c2{stroke:#3fb950}.d0{fill:#bc8cff}.d1{fill:#58a6ff}.d2{fill:#3fb950}
.goal{fill:#3fb950}}
"""


@dataclass(frozen=True)
class Curve:
    """A poller's points, each with the setting that led to it; `marked`: the setting that is the default."""

    name: str
    points: Sequence[tuple[float, Any]]
    label: str
    marked: float | None = None


def chart(curves: Sequence[Curve]) -> str:
    """Mean delay over requests per attempt."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">',
        "<title>Mean delay over status requests per attempt</title>",
        f"<style>{_STYLE}</style>",
        *_frame(),
    ]
    for number, curve in enumerate(curves):
        inside = [
            (at, _x(figures.requests), _y(figures.mean_s))
            for at, figures in curve.points
            if figures.requests <= _MOST_REQUESTS and figures.mean_s <= _MOST_DELAY_S
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in inside)
        parts.append(f'<polyline class="line c{number}" points="{line}"/>')
        for at, x, y in inside:
            label = curve.label.format(at)
            parts.append(f'<circle class="d{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
            if at == curve.marked:
                parts.append(f'<circle class="mark c{number}" cx="{x:.1f}" cy="{y:.1f}" r="8"/>')
            parts.append(_text(x + 8, y - 7, label) if number == 0 else _text(x - 6, y + 18, label, "end"))
        parts.append(f'<circle class="d{number}" cx="{_WIDTH - 250}" cy="{_TOP + 14 + 20 * number}" r="4"/>')
        parts.append(_text(_WIDTH - 238, _TOP + 18 + 20 * number, curve.name))
    parts.append(_text(_WIDTH - 238, _TOP + 18 + 20 * len(curves), "ringed: the default cost of a look"))
    return "\n".join([*parts, "</svg>\n"])


def _frame() -> list[str]:
    goal = f'<rect class="goal" x="{_x(0)}" y="{_y(1.1):.1f}" width="{_x(4.5) - _x(0):.1f}" height="{_y(0) - _y(1.1):.1f}"/>'
    parts = [goal]
    for each in range(0, int(_MOST_REQUESTS) + 1, 2):
        parts.append(_line("grid", _x(each), _y(0), _x(each), _y(_MOST_DELAY_S)))
        parts.append(_text(_x(each), _y(0) + 18, str(each), "middle"))
    for each in range(int(_MOST_DELAY_S) + 1):
        parts.append(_line("grid", _x(0), _y(each), _x(_MOST_REQUESTS), _y(each)))
        parts.append(_text(_LEFT - 8, _y(each) + 4, f"{each} s", "end"))
    return [
        *parts,
        _line("axis", _x(0), _y(0), _x(_MOST_REQUESTS), _y(0)),
        _line("axis", _x(0), _y(0), _x(0), _y(_MOST_DELAY_S)),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, "status requests per attempt", "middle"),
        _text(
            _LEFT - 8, _TOP - 16, "mean delay until the end of a task is known (1,000 in flight, tasks of 5 to 60 s)"
        ),
    ]


def _x(requests: float) -> float:
    return _LEFT + requests / _MOST_REQUESTS * (_WIDTH - _LEFT - _RIGHT)


def _y(delay_s: float) -> float:
    return _HEIGHT - _BOTTOM - delay_s / _MOST_DELAY_S * (_HEIGHT - _TOP - _BOTTOM)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
