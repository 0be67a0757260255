"""Surfaces: noise, wood, linen, concrete, plaster, printed labels; each a function of a point in dm."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.floating[Any]]
"""Numbers; for points and colours of shape (3, n)."""
Paint = Callable[[Array], Array]
"""Points (3, n) to linear colour (3, n)."""
Height = Callable[[Array], Array]
"""Points (3, n) to relief (n,), for the grain of a surface."""
Rgb = tuple[float, float, float]


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def srgb(code: str) -> Rgb:
    """`#aabbcc` in linear light."""
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red**2.2, green**2.2, blue**2.2


@cache
def cloud(seed: int, slope: float = 1.6) -> Array:
    """Tileable noise, 1024 x 1024, mean 0.5: `slope` 1 is rough, 2 is smooth."""
    size = 1024
    white = np.random.default_rng(seed).standard_normal((size, size))
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    f[0, 0] = 1
    spectrum = np.fft.rfft2(white) / np.maximum(f, 2 / size) ** slope
    spectrum[0, 0] = 0
    out = np.fft.irfft2(spectrum, s=(size, size))
    return np.clip(0.5 + out / out.std() * 0.17, 0, 1).astype(np.float32)


def look_up(table: Array, u: Array, v: Array) -> Array:
    """Bilinear, wrapping: one tile is 1 x 1."""
    rows, columns = table.shape
    x, y = u * columns, v * rows
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    i, j = y0.astype(np.int64) % rows, x0.astype(np.int64) % columns
    i1, j1 = (i + 1) % rows, (j + 1) % columns
    top = table[i, j] * (1 - fx) + table[i, j1] * fx
    low = table[i1, j] * (1 - fx) + table[i1, j1] * fx
    return top * (1 - fy) + low * fy


def mix(low: Rgb, high: Rgb, share: Array) -> Array:
    a, b = np.array(low, dtype=np.float32)[:, None], np.array(high, dtype=np.float32)[:, None]
    return a + (b - a) * np.clip(share, 0, 1)


def around(p: Array) -> tuple[Array, Array]:
    """Unrolled cylinder: (arc, height) in dm at about the mean radius."""
    return np.arctan2(p[0], p[2]), p[1]


def plain(code: str, vary: float = 0.06, seed: int = 3) -> Paint:
    """One colour, a little uneven as real things are."""
    colour = srgb(code)

    def paint(p: Array) -> Array:
        spots = look_up(cloud(seed), p[0] * 0.31 + p[2] * 0.17, p[1] * 0.29 + p[2] * 0.23)
        return np.array(colour, dtype=np.float32)[:, None] * (1 + vary * 2 * (spots - 0.5))

    return paint


def speckled(code: str, spots: str, amount: float = 0.30, seed: int = 11) -> Paint:
    """Stoneware glaze with iron specks."""

    def paint(p: Array) -> Array:
        arc, y = around(p)
        arc = arc * 0.55 + p[0] * 0.05
        speck = smoothstep(0.70, 0.80, look_up(cloud(seed, 0.55), arc * 0.42, y * 0.42 + p[2] * 0.11))
        uneven = look_up(cloud(seed + 1), arc * 0.3, y * 0.3)
        return mix(srgb(code), srgb(spots), speck * amount * 2.2) * (0.93 + 0.14 * uneven)

    return paint


def banded(lower: Paint, upper: Paint, at: float, wave: float = 0.03) -> Paint:
    """A glaze dipped down to `at` (dm), with a running edge."""

    def paint(p: Array) -> Array:
        arc, y = around(p)
        edge = at + wave * (look_up(cloud(21), arc * 0.16, arc * 0.0) - 0.5) * 4
        share = smoothstep(-0.012, 0.012, y - edge)
        return lower(p) * (1 - share) + upper(p) * share

    return paint


def wood(light: str, dark: str, *, along: int = 0, planks: float = 0.0, seed: int = 31) -> Paint:
    """Grain along axis `along`; `planks` is their width in dm (0: one piece)."""
    others = [axis for axis in range(3) if axis != along]

    def paint(p: Array) -> Array:
        u = p[along]
        v = p[others[0]] + 0.7 * p[others[1]] if not planks else p[others[1]]
        joint = np.ones_like(u)
        tone = np.zeros_like(u)
        if planks:
            number = np.floor(v / planks)
            inside = v / planks - number
            joint = smoothstep(0.0, 0.012, np.minimum(inside, 1 - inside))
            shift = np.sin(number * 12.9898) * 43.758
            shift = shift - np.floor(shift)
            u = u + shift * 17
            tone = (shift - 0.5) * 0.34
        bend = look_up(cloud(seed, 1.9), u * 0.030, v * 0.11)
        rings = 0.5 + 0.5 * np.sin((bend * 5.5 + v * 1.1) * 6.283)
        fibre = look_up(cloud(seed + 1, 1.0), u * 0.045, v * 1.1)
        pores = smoothstep(0.60, 0.78, look_up(cloud(seed + 2, 0.7), u * 0.10, v * 2.3))
        share = 0.36 * rings**2 + 0.62 * (fibre - 0.3) + 0.35 * pores + tone
        return mix(srgb(light), srgb(dark), share) * (0.32 + 0.68 * joint)

    return paint


def weave(p: Array, threads: float) -> Array:
    """Relief of cloth, 0..1; `threads` per dm."""
    wobble = look_up(cloud(41, 1.4), p[0] * 0.4, (p[1] + p[2]) * 0.4) * 0.09
    u = (p[0] + 0.3 * p[2] + wobble) * threads * 3.1416
    v = (p[1] + p[2] * 0.9 + wobble) * threads * 3.1416
    return 0.5 + 0.25 * (np.sin(u) * np.sin(v) * 1.2 + np.sin(2 * v) * 0.3 + np.sin(2 * u) * 0.3)


def cloth_relief(threads: float) -> Height:
    return lambda p: weave(p, threads)


def cloth(code: str, threads: float = 13, seed: int = 45, slub: float = 0.30) -> Paint:
    """Linen or canvas: threads of uneven thickness and shade."""

    def paint(p: Array) -> Array:
        across = look_up(cloud(seed, 0.8), p[0] * 0.9, (p[1] + p[2]) * 0.03)
        down = look_up(cloud(seed + 1, 0.8), p[0] * 0.03, (p[1] + p[2]) * 0.9)
        shade = 1 + slub * (across + down - 1) + 0.20 * (weave(p, threads) - 0.5)
        return np.array(srgb(code), dtype=np.float32)[:, None] * shade

    return paint


def noise_relief(scale: float, slope: float = 1.0, seed: int = 51) -> Height:
    """Terry, felt, leather, plaster: depends on the scale (tiles per dm)."""
    return lambda p: look_up(cloud(seed, slope), p[0] * scale + p[2] * scale * 0.61, p[1] * scale + p[2] * scale * 0.79)


def concrete(light: str, dark: str, seed: int = 61) -> Paint:
    def paint(p: Array) -> Array:
        u, v = p[0], p[1] + p[2]
        large = look_up(cloud(seed, 1.7), u * 0.11, v * 0.11)
        fine = look_up(cloud(seed + 1, 0.9), u * 0.6, v * 0.6)
        pores = smoothstep(0.80, 0.88, look_up(cloud(seed + 2, 0.9), u * 0.35, v * 0.35))
        return mix(srgb(light), srgb(dark), 1.5 * (large - 0.5) + 0.6 * (fine - 0.5) + 0.5) * (1 - 0.4 * pores)

    return paint


def plaster(code: str, seed: int = 71) -> Paint:
    """A painted wall, rolled by hand."""

    def paint(p: Array) -> Array:
        u, v = p[0], p[1] + p[2]
        tone = look_up(cloud(seed, 1.8), u * 0.09, v * 0.09) - 0.5
        return np.array(srgb(code), dtype=np.float32)[:, None] * (1 + 0.30 * tone)

    return paint


def marble(light: str, dark: str, seed: int = 81) -> Paint:
    def paint(p: Array) -> Array:
        u, v = p[0], p[1] + p[2]
        warp = look_up(cloud(seed, 1.7), u * 0.07, v * 0.07)
        vein = 1 - np.abs(np.sin((u * 0.28 + v * 0.42 + warp * 2.6) * 3.1416))
        faint = look_up(cloud(seed + 1, 1.4), u * 0.12, v * 0.12)
        return mix(srgb(light), srgb(dark), 0.85 * vein**9 + 0.32 * (faint - 0.35))

    return paint


@cache
def label(lines: tuple[str, ...], paper: str, ink: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """A printed label in linear light, height x width x 3; the first line is the brand."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    width, height = size
    inset = width // 24
    draw.rectangle((inset, inset, width - inset, height - inset), outline=ink, width=max(2, width // 160))
    step = height / (len(lines) + 1.2)
    for index, line in enumerate(lines):
        font = ImageFont.load_default(size=width // 8 if index == 0 else width // 17)
        draw.text((width / 2, step * (index + 1.1)), line, fill=ink, font=font, anchor="mm")
    return ((np.asarray(image, dtype=np.float32) / 255) ** np.float32(2.2)).astype(np.float32)


def labelled(
    base: Paint,
    print_: NDArray[np.float32],
    box: tuple[float, float, float, float],
    *,
    round_: bool,
    ink_only: bool = False,
) -> Paint:
    """`base` with a label on the front: box is left, bottom, width, height in dm (left and width in radians when round).

    With `ink_only` it is printed on the base itself: white paper disappears.
    """
    left, bottom, width, height = box

    def paint(p: Array) -> Array:
        across = np.arctan2(p[0], p[2]) if round_ else p[0]
        u, v = (across - left) / width, (p[1] - bottom) / height
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1) & (p[2] > 0)
        colour = base(p)
        w, h = print_.shape[1], print_.shape[0]
        for channel in range(3):
            ink = look_up(print_[:, :, channel], np.clip(u, 0, 1 - 1.5 / w), np.clip(1 - v, 0, 1 - 1.5 / h))
            colour[channel] = np.where(inside, ink * colour[channel] if ink_only else ink, colour[channel])
        return colour

    return paint
