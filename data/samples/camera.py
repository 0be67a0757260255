"""The camera of the studio: rays, samples at edges, depth of field, tone curve, noise of the sensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from render import Scene, cross, dot, shade_product, shade_set, union, unit, vec
from textures import Array


def rays(scene: Scene, px: Array, py: Array) -> Array:
    """Rays through the given pixels."""
    width, height = scene.size
    ahead = unit(vec(scene.target) - vec(scene.eye))
    right = unit(cross(ahead, vec((0, 1, 0))))
    up = cross(right, ahead)
    half = min(width, height) / 2
    u = (px - width / 2) / half
    v = (height / 2 - py) / half
    return unit(ahead * np.float32(scene.zoom) + right * u + up * v)


def in_chunks(work: Callable[[Array], tuple[NDArray[Any], ...]], ray: Array, size: int = 160_000) -> list[NDArray[Any]]:
    done = [work(ray[:, i : i + size]) for i in range(0, ray.shape[1], size)]
    return [np.concatenate(column, axis=-1) for column in zip(*done, strict=True)]


def edges(number: NDArray[np.int16], colour: Array) -> NDArray[np.intp]:
    """Pixels where parts meet or the colour jumps: these are sampled again."""
    luma = colour.mean(axis=0)
    jump = np.zeros(number.shape, dtype=bool)
    for axis in (0, 1):
        step = (np.diff(number, axis=axis) != 0) | (np.abs(np.diff(luma, axis=axis)) > 0.10)
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(0, -1), slice(1, None)
        jump[tuple(first)] |= step
        jump[tuple(second)] |= step
    return np.flatnonzero(jump)


def box(image: Array, radius: int, axis: int) -> Array:
    pad = [(0, 0)] * image.ndim
    pad[axis] = (radius + 1, radius)
    run = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
    size = 2 * radius + 1
    head = np.take(run, range(size, run.shape[axis]), axis=axis)
    tail = np.take(run, range(run.shape[axis] - size), axis=axis)
    return ((head - tail) / size).astype(np.float32)


def soften(image: Array, radius: int) -> Array:
    """Three box blurs: close to a Gaussian, the same everywhere."""
    for axis in (1, 2, 1, 2, 1, 2):
        image = box(image, radius, axis)
    return image


def defocus(scene: Scene, image: Array, t: Array) -> Array:
    """Blur by distance from the plane of focus."""
    gap = vec(scene.centre) - vec(scene.eye)
    focus = float(np.sqrt(dot(gap, gap))[0])
    circle = scene.blur * np.abs(t - focus) / t * 6
    circle = np.clip(circle - 1.2, 0, 40)
    radii = (0, 2, 5, 11, 22)
    layers = [image] + [soften(image, r) for r in radii[1:]]
    out = np.zeros_like(image)
    for i, layer in enumerate(layers):
        low = radii[i - 1] if i else -1.0
        high = radii[i + 1] if i + 1 < len(radii) else 1e9
        rise = np.clip((circle - low) / (radii[i] - low), 0, 1)
        fall = np.clip((high - circle) / (high - radii[i]), 0, 1)
        out += layer * np.minimum(rise, fall)
    return out


def develop(scene: Scene, image: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lens and sensor: bloom, vignette, tone curve, noise."""
    width, height = scene.size
    image = image + 0.035 * soften(np.maximum(image - 0.9, 0), 24)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    r2 = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    image = image * (1 - 0.26 * r2) * np.float32(scene.exposure)
    image = image * (2.51 * image + 0.03) / (image * (2.43 * image + 0.59) + 0.14)
    image = image + 0.14 * (image.mean(axis=0) - image)
    image = np.clip(image, 0, 1) ** np.float32(1 / 2.2)
    grain = rng.standard_normal((1, height, width), dtype=np.float32)
    grain = grain + 0.45 * rng.standard_normal((3, height, width), dtype=np.float32)
    image = image + soften(grain, 1) * (0.02 + 0.016 * (1 - image))
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def photograph(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """The finished image, height x width x 3."""
    width, height = scene.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32).reshape(2, -1) + np.float32(0.5)
    shape = union(scene.parts)
    ray = rays(scene, x, y)
    back, t = in_chunks(lambda r: shade_set(scene, shape, r), ray)
    back = defocus(scene, back.reshape(3, height, width), t.reshape(height, width)).reshape(3, -1)
    colour, cover, tint, number = in_chunks(lambda r: shade_product(scene, shape, r), ray)
    again = edges(number.reshape(height, width), colour.reshape(3, height, width))
    offsets = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
    total = [np.zeros((3, again.size)), np.zeros(again.size), np.zeros((3, again.size))]
    for dx, dy in offsets:
        finer = rays(scene, x[again] + np.float32(dx), y[again] + np.float32(dy))
        for i, layer in enumerate(in_chunks(lambda r: shade_product(scene, shape, r), finer)[:3]):
            total[i] += layer / len(offsets)
    colour[:, again], cover[again], tint[:, again] = total
    image = colour + back * (1 - cover + tint)
    return develop(scene, image.reshape(3, height, width).astype(np.float32), np.random.default_rng(seed))
