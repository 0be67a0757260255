"""Distance fields: turned bodies, boxes, tubes, outlines; and how to move and join them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from textures import Array

Sdf = Callable[[Array], Array]
Move = Callable[[Array], Array]
Points = tuple[tuple[float, float], ...]


def curve(points: Points, per: int = 10, *, closed: bool = False) -> NDArray[np.float64]:
    """Catmull-Rom through the points. A point given twice stays a corner."""
    pts = np.array(points, dtype=np.float64)
    pts = np.vstack([pts[-1], pts, pts[:2]]) if closed else np.vstack([pts[0], pts, pts[-1]])
    t = np.linspace(0, 1, per, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(pts[:-3], pts[1:-2], pts[2:-1], pts[3:], strict=True):
        if np.allclose(b, c):
            continue
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    if not closed:
        pieces.append(pts[-2:-1])
    return np.vstack(pieces)


@cache
def outline_grid(points: Points, *, closed: bool, cells: int = 420) -> tuple[Array, float, float, float]:
    """Signed distance to an outline, tabled: (grid, left, bottom, cell size)."""
    line = curve(points, closed=closed)
    low, high = line.min(axis=0) - 0.35, line.max(axis=0) + 0.35
    cell = float((high - low).max() / cells)
    nx, ny = (np.ceil((high - low) / cell).astype(int) + 1).tolist()
    gx, gy = np.meshgrid(low[0] + np.arange(nx) * cell, low[1] + np.arange(ny) * cell)
    best = np.full(gx.shape, 1e9)
    sign = np.ones(gx.shape)
    for (ax, ay), (bx, by) in zip(line, np.roll(line, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        wx, wy = gx - ax, gy - ay
        share = np.clip((wx * ex + wy * ey) / max(ex * ex + ey * ey, 1e-12), 0, 1)
        best = np.minimum(best, (wx - ex * share) ** 2 + (wy - ey * share) ** 2)
        above, below = gy >= ay, gy < by
        left = ex * wy > ey * wx
        sign = np.where((above & below & left) | (~above & ~below & ~left), -sign, sign)
    return (sign * np.sqrt(best)).astype(np.float32), float(low[0]), float(low[1]), cell


def outline(points: Points, *, closed: bool = True) -> Callable[[Array, Array], Array]:
    """Distance in the plane to a smooth outline; far outside it is a safe lower bound."""
    grid, left, bottom, cell = outline_grid(points, closed=closed)
    rows, columns = grid.shape

    def distance(u: Array, v: Array) -> Array:
        x, y = (u - left) / cell, (v - bottom) / cell
        cx, cy = np.clip(x, 0, columns - 1.001), np.clip(y, 0, rows - 1.001)
        i, j = cy.astype(np.int32), cx.astype(np.int32)
        fx, fy = cx - j, cy - i
        flat, at = grid.ravel(), i * columns + j
        low = flat[at] * (1 - fx) + flat[at + 1] * fx
        high = flat[at + columns] * (1 - fx) + flat[at + columns + 1] * fx
        beyond = np.hypot(x - cx, y - cy) * cell
        return (low * (1 - fy) + high * fy + beyond * 0.8).astype(np.float32)

    return distance


def turned(points: Points) -> Sdf:
    """A body turned on a lathe: its half section as (radius, height), from the axis at the bottom to the axis above."""
    low, high = (-0.3, points[0][1]), (-0.3, points[-1][1])
    flat = outline((*points, high, high, low, low))
    return lambda p: flat(np.hypot(p[0], p[2]), p[1])


def cut_out(points: Points, half: float, rounding: float = 0.02) -> Sdf:
    """An outline in x and y, `half` thick to each side in z, with rounded edges."""
    flat = outline(points)

    def shape(p: Array) -> Array:
        a, b = flat(p[0], p[1]) + rounding, np.abs(p[2]) - (half - rounding)
        return np.minimum(np.maximum(a, b), 0) + np.hypot(np.maximum(a, 0), np.maximum(b, 0)) - rounding

    return shape


def block(x: float, y: float, z: float, rounding: float = 0.03) -> Sdf:
    """A box by its half sizes, rounded."""

    def shape(p: Array) -> Array:
        a, b, c = (np.abs(p[i]) - (half - rounding) for i, half in enumerate((x, y, z)))
        inside = np.minimum(np.maximum(a, np.maximum(b, c)), 0)
        return inside + np.sqrt(np.maximum(a, 0) ** 2 + np.maximum(b, 0) ** 2 + np.maximum(c, 0) ** 2) - rounding

    return shape


def pill(a: tuple[float, float, float], b: tuple[float, float, float], start: float, end: float | None = None) -> Sdf:
    """A rod from a to b whose radius goes from `start` to `end`."""
    end = start if end is None else end
    ax = np.array(a, dtype=np.float32)[:, None]
    line = np.array(b, dtype=np.float32)[:, None] - ax
    size = float((line * line).sum())

    def shape(p: Array) -> Array:
        w = p - ax
        share = np.clip((w[0] * line[0] + w[1] * line[1] + w[2] * line[2]) / size, 0, 1)
        away = w - line * share
        return np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2) - (start + (end - start) * share)

    return shape


def tube(points: Sequence[tuple[float, float, float]], start: float, end: float | None = None) -> Sdf:
    """A bent rod: a chain of short ones through a smooth curve."""
    end = start if end is None else end
    flat = curve(tuple((x, y) for x, y, _ in points), per=5)
    deep = curve(tuple((z, i) for i, (_, _, z) in enumerate(points)), per=5)[:, 0]
    line = [(float(x), float(y), float(z)) for (x, y), z in zip(flat, deep, strict=True)]
    widths = np.linspace(start, end, len(line)).tolist()
    rods = [pill(a, b, r, s) for a, b, r, s in zip(line, line[1:], widths, widths[1:], strict=False)]
    thick = max(start, end)
    low, high = np.min(line, axis=0) - thick, np.max(line, axis=0) + thick
    return within(join(*rods), tuple(low.tolist()), tuple(high.tolist()))


def within(body: Sdf, low: tuple[float, ...], high: tuple[float, ...], margin: float = 0.4) -> Sdf:
    """The body, which lies in a box: further away than `margin` the distance to the box does, which is quick."""
    middle = (np.array(low, dtype=np.float32) + np.array(high, dtype=np.float32))[:, None] / 2
    half = (np.array(high, dtype=np.float32) - np.array(low, dtype=np.float32))[:, None] / 2

    def shape(p: Array) -> Array:
        out = np.maximum(np.abs(p - middle) - half, 0)
        gap = np.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
        near = np.flatnonzero(gap < margin)
        if near.size:
            gap[near] = body(p[:, near])
        return gap

    return shape


def egg(x: float, y: float, z: float) -> Sdf:
    """An ellipsoid by its half axes."""
    half = np.array((x, y, z), dtype=np.float32)[:, None]

    def shape(p: Array) -> Array:
        q, g = p / half, p / (half * half)
        k0 = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
        k1 = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
        return k0 * (k0 - 1) / np.maximum(k1, 1e-4)

    return shape


def ring(radius: float, thick: float) -> Sdf:
    """A torus lying flat."""
    return lambda p: np.hypot(np.hypot(p[0], p[2]) - radius, p[1]) - thick


def join(*shapes: Sdf, soft: float = 0.0) -> Sdf:
    """Union; `soft` (dm) rounds the seam."""

    def shape(p: Array) -> Array:
        best = shapes[0](p)
        for other in shapes[1:]:
            d = other(p)
            if soft:
                h = np.clip(0.5 + 0.5 * (d - best) / soft, 0, 1)
                best = d + (best - d) * h - soft * h * (1 - h)
            else:
                best = np.minimum(best, d)
        return best

    return shape


def without(body: Sdf, hole: Sdf, soft: float = 0.01) -> Sdf:
    def shape(p: Array) -> Array:
        a, b = body(p), -hole(p)
        h = np.clip(0.5 - 0.5 * (a - b) / soft, 0, 1)
        return a + (b - a) * h + soft * h * (1 - h)

    return shape


def uneven(body: Sdf, relief: Callable[[Array], Array], depth: float, safety: float = 0.7) -> Sdf:
    """The body with folds: relief 0..1, `depth` in dm."""
    return lambda p: (body(p) - depth * (relief(p) - 0.5)) * safety


def placed(x: float = 0, y: float = 0, z: float = 0, *, turn: float = 0, tip: float = 0, roll: float = 0) -> Move:
    """World to local for a part standing at (x, y, z), turned about y, tipped about x, rolled about z (degrees)."""
    at = np.array((x, y, z), dtype=np.float32)[:, None]
    angles = [float(np.deg2rad(angle)) for angle in (turn, tip, roll)]

    def local(p: Array) -> Array:
        a, b, c = p - at
        if angles[0]:
            s, k = np.float32(np.sin(angles[0])), np.float32(np.cos(angles[0]))
            a, c = a * k - c * s, a * s + c * k
        if angles[1]:
            s, k = np.float32(np.sin(angles[1])), np.float32(np.cos(angles[1]))
            b, c = b * k + c * s, c * k - b * s
        if angles[2]:
            s, k = np.float32(np.sin(angles[2])), np.float32(np.cos(angles[2]))
            a, b = a * k + b * s, b * k - a * s
        return np.stack([a, b, c])

    return local


def at(body: Sdf, move: Move) -> Sdf:
    return lambda p: body(move(p))
