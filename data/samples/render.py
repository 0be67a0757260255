"""A small studio in numpy: distance fields under soft boxes.

Units are decimetres; x points right, y up, z to the camera. Points and colours are arrays of shape (3, n), colours in
linear light. Everything is seeded, so the same numpy draws the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from textures import Array, Height, Paint, Rgb, smoothstep

Sdf = Callable[[Array], Array]
"""Points (3, n) to signed distance (n,)."""


@dataclass(frozen=True)
class Material:
    """What a surface does with light."""

    paint: Paint
    rough: float = 0.6
    """0 mirrors the soft boxes, 1 is chalk."""
    shine: float = 0.04
    """Reflectance looked at head-on; metals use their own colour instead."""
    metal: bool = False
    sheen: float = 0.0
    """Light edge of cloth."""
    glow: float = 0.0
    """Own light, as a multiple of the colour (lamp shades, wax)."""
    clear: float = 0.0
    """How much of the background shows through, tinted by the colour (glass)."""
    relief: Height | None = None
    depth: float = 0.0
    """Strength of the relief."""


@dataclass(frozen=True)
class Part:
    """One piece of a product; its material is painted in the coordinates of its shape."""

    shape: Sdf
    material: Material
    to_local: Callable[[Array], Array] = lambda p: p


@dataclass(frozen=True)
class Scene:
    """A product on a set, with light and camera."""

    parts: list[Part]
    floor: Material
    wall: Material
    eye: tuple[float, float, float] = (0.0, 2.2, 7.0)
    target: tuple[float, float, float] = (0.0, 0.9, 0.0)
    zoom: float = 2.6
    """Focal length over half the shorter side of the sensor."""
    centre: tuple[float, float, float] = (0.0, 1.0, 0.0)
    radius: float = 1.8
    """Sphere (dm) that holds every part."""
    wall_z: float = -3.2
    sweep: float = 0.05
    """Radius (dm) of the bend between floor and wall; large for a paper sweep."""
    key: tuple[float, float, float] = (-3.6, 5.4, 3.4)
    key_size: float = 0.9
    """Half the width of the soft box (dm): how soft the shadow is."""
    key_power: float = 2.1
    key_colour: Rgb = (1.0, 0.96, 0.9)
    sky: Rgb = (0.40, 0.43, 0.48)
    panes: bool = False
    """The key light comes through a window with bars."""
    blur: float = 5.0
    """How fast the background leaves focus."""
    exposure: float = 0.68
    size: tuple[int, int] = (1200, 1200)
    """Width and height in px."""
    lamp: tuple[float, float, float] | None = None
    """Where a lit lamp stands (dm): it warms its surroundings."""


@dataclass(frozen=True)
class Surface:
    """Points that a ray met."""

    point: Array
    normal: Array
    view: Array
    """Direction of the ray."""


def vec(v: tuple[float, float, float]) -> Array:
    return np.array(v, dtype=np.float32).reshape(3, 1)


def dot(a: Array, b: Array) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Array) -> Array:
    return a / np.sqrt(np.maximum(dot(a, a), 1e-12))


def cross(a: Array, b: Array) -> Array:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def union(parts: list[Part]) -> Sdf:
    def shape(p: Array) -> Array:
        best = parts[0].shape(parts[0].to_local(p))
        for part in parts[1:]:
            best = np.minimum(best, part.shape(part.to_local(p)))
        return best

    return shape


def sphere_span(origin: Array, ray: Array, centre: Array, radius: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Where rays enter and leave the bounding sphere, and which do at all."""
    off = origin - centre
    b = dot(off, ray)
    disc = b * b - (dot(off, off) - radius * radius)
    root = np.sqrt(np.maximum(disc, 0))
    return np.maximum(-b - root, 0), -b + root, (disc > 0) & (-b + root > 0)


def march(shape: Sdf, eye: Array, ray: Array, near: Array, far: Array) -> Array:
    """Distance along each ray to the shape; inf where it misses."""
    found = np.full(near.shape, np.inf, dtype=np.float32)
    live = np.arange(near.size)
    t = near.copy()
    for _ in range(150):
        gap = shape(eye + ray[:, live] * t[live])
        hit = gap < 8e-4
        found[live[hit]] = t[live[hit]]
        t[live] += np.maximum(gap * 0.8, 4e-4)
        live = live[~hit & (t[live] < far[live])]
        if not live.size:
            break
    return found


def normals(shape: Sdf, p: Array) -> Array:
    n = np.zeros_like(p)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        c = vec(corner)
        n += c * shape(p + c * np.float32(0.004))
    return unit(n)


def shadow(shape: Sdf, scene: Scene, p: Array, n: Array, lamp: Array, softness: float) -> Array:
    """Share of the light at `lamp` that reaches each point, with a penumbra."""
    to = lamp - p
    reach = np.sqrt(dot(to, to))
    ray = to / reach
    start = p + n * np.float32(0.012)
    near, far, some = sphere_span(start, ray, vec(scene.centre), scene.radius)
    lit = np.ones(p.shape[1], dtype=np.float32)
    live = np.flatnonzero(some)
    t = np.maximum(near, 0.01)
    far = np.minimum(far, reach)
    for _ in range(44):
        gap = shape(start[:, live] + ray[:, live] * t[live])
        lit[live] = np.minimum(lit[live], 0.5 + gap / (2 * softness * t[live]))
        t[live] += np.clip(gap * 0.8, 0.018, 0.3)
        live = live[(lit[live] > -0.2) & (t[live] < far[live])]
        if not live.size:
            break
    lit = np.clip(lit, 0, 1)
    return lit * lit * (3 - 2 * lit)


def occlusion(shape: Sdf, scene: Scene, p: Array, n: Array) -> Array:
    """How open the sky is above each point."""
    open_sky = np.ones(p.shape[1], dtype=np.float32)
    off = p - vec(scene.centre)
    near = np.flatnonzero(dot(off, off) < (scene.radius + 1.0) ** 2)
    q, m = p[:, near], n[:, near]
    closed = np.zeros(near.size, dtype=np.float32)
    for reach, weight in ((0.03, 1.6), (0.08, 1.3), (0.18, 0.9), (0.38, 0.6), (0.75, 0.35)):
        closed += np.float32(weight) * np.clip(reach - shape(q + m * np.float32(reach)), 0, None) / np.float32(reach)
    open_sky[near] = np.exp(-0.55 * closed)
    return open_sky


def bars(u: Array, v: Array, soft: float) -> Array:
    """A window: four panes."""
    frame = smoothstep(1.0 + soft, 1.0 - soft, np.abs(u)) * smoothstep(1.3 + soft, 1.3 - soft, np.abs(v))
    cross_bar = smoothstep(0.05 - soft, 0.05 + soft, np.abs(u)) * smoothstep(0.05 - soft, 0.05 + soft, np.abs(v - 0.2))
    return frame * cross_bar


def sky(scene: Scene, ray: Array, rough: float) -> Array:
    """What a reflection sees: a grey room, the soft box, a strip light on the other side."""
    up = ray[1] * 0.5 + 0.5
    ground = scene.floor.paint(np.zeros((3, 1), dtype=np.float32)) * 0.55
    room = ground * (1 - smoothstep(0.3, 0.65, up)) + vec(scene.sky) * 1.1 * smoothstep(0.3, 0.75, up)
    soft = 0.05 + rough * 1.1
    for at, width, height, power, colour in (
        (scene.key, 0.36, 0.5, 5.5, scene.key_colour),
        ((4.6, 2.2, 2.2), 0.16, 0.7, 1.7, (0.9, 0.96, 1.05)),
    ):
        axis = unit(vec(at) - vec(scene.centre))
        side = unit(cross(vec((0, 1, 0)), axis))
        top = cross(axis, side)
        ahead = dot(ray, axis)
        u = dot(ray, side) / np.maximum(ahead, 0.05)
        v = dot(ray, top) / np.maximum(ahead, 0.05)
        seen = smoothstep(width + soft * 0.6, width - soft * 0.6, np.abs(u))
        seen = seen * smoothstep(height + soft * 0.6, height - soft * 0.6, np.abs(v)) * smoothstep(0.0, 0.3, ahead)
        if scene.panes and rough < 0.45 and at == scene.key:
            seen = seen * bars(u / width * 0.95, v / height * 1.2, soft * 2)
        room = room + vec(colour) * (power * seen / (1 + 5 * rough))
    return room


def shade(scene: Scene, shape: Sdf, material: Material, local: Array, at: Surface, *, product: bool) -> Array:
    """Linear colour of the points of one material."""
    n = at.normal
    albedo = material.paint(local)
    if material.relief is not None and material.depth:
        e = np.float32(0.004)
        base = material.relief(local)
        slope = np.stack([material.relief(local + e * vec(axis)) - base for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))])
        slope = slope / e * np.float32(material.depth)
        n = unit(n - (slope - n * dot(slope, n)))
    facing = np.clip(dot(n, -at.view), 0.02, 1)
    open_sky = occlusion(shape, scene, at.point, at.normal)
    up = n[1] * 0.5 + 0.5
    floor_colour = scene.floor.paint(np.zeros((3, 1), dtype=np.float32))
    bounce = floor_colour * vec(scene.key_colour) * 0.42
    ambient = (vec(scene.sky) * up + bounce * (1 - up)) * open_sky

    direct = np.zeros_like(at.point)
    key = vec(scene.key)
    for shift_x, shift_y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        lamp = key + vec((shift_x, shift_y * 0.6, -shift_x * 0.4)) * np.float32(scene.key_size * 0.6)
        to = lamp - at.point
        far = dot(to, to)
        cosine = np.clip((dot(n, to) / np.sqrt(far) + 0.12) / 1.12, 0, 1)
        lit = shadow(shape, scene, at.point, at.normal, lamp, 0.1 + 0.09 * scene.key_size)
        direct += vec(scene.key_colour) * (cosine * lit * float(dot(key, key)[0]) / far)
    direct *= np.float32(scene.key_power / 4)
    if scene.panes:
        axis = unit(key - vec(scene.target))
        side = unit(cross(vec((0, 1, 0)), axis))
        off = at.point - vec(scene.target)
        direct *= 0.22 + 0.78 * bars(dot(off, side) / 2.3, dot(off, cross(axis, side)) / 1.7, 0.1)
    if scene.lamp is not None:
        to = vec(scene.lamp) - at.point
        far = dot(to, to)
        cosine = np.clip((dot(n, to) / np.sqrt(far) + 0.3) / 1.3, 0, 1)
        direct += vec((1.0, 0.66, 0.34)) * (cosine * open_sky * 1.5 / (0.5 + far))
    light = ambient + direct

    base = vec((material.shine,) * 3)
    fresnel_tint = albedo if material.metal else base
    fresnel = fresnel_tint + (1 - fresnel_tint) * ((1 - facing) ** 5) * np.float32(1 - 0.75 * material.rough)
    mirror = unit(at.view + 2 * facing * n)
    gloss = sky(scene, mirror, material.rough) * fresnel * (0.25 + 0.75 * open_sky)
    colour = gloss if material.metal else albedo * light + gloss
    if material.metal and material.rough > 0.2:
        colour = colour + albedo * light * np.float32(0.25 * material.rough)
    if material.sheen:
        colour = colour + albedo ** np.float32(0.6) * light * (material.sheen * (1 - facing) ** 3)
    if material.glow:
        colour = colour + albedo * np.float32(material.glow)
    if material.clear and product:
        colour = colour - albedo * light * np.float32(0.75)
    return np.maximum(colour, 0)


def look_at_set(scene: Scene, ray: Array) -> tuple[Surface, Array, NDArray[np.bool_]]:
    """Floor, bend and wall behind the product: points, distance, and which are wall."""
    eye = vec(scene.eye)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        floor = np.where(ray[1] < -1e-4, -eye[1] / ray[1], np.inf)
        wall = np.where(ray[2] < -1e-4, (scene.wall_z - eye[2]) / ray[2], np.inf)
    t = np.minimum(np.minimum(floor, wall), 60.0)
    is_wall = wall < floor
    normal = np.where(is_wall, vec((0, 0, 1)), vec((0, 1, 0)))
    r = scene.sweep
    cy, cz = eye[1] - r, eye[2] - (scene.wall_z + r)
    a = ray[1] ** 2 + ray[2] ** 2
    b = cy * ray[1] + cz * ray[2]
    disc = b * b - a * (cy * cy + cz * cz - r * r)
    bend = (-b + np.sqrt(np.maximum(disc, 0))) / a
    y, z = eye[1] + ray[1] * bend, eye[2] + ray[2] * bend
    on = (disc > 0) & (y < r) & (z < scene.wall_z + r)
    t = np.where(on, bend, t)
    curved = np.stack([np.zeros_like(y), r - y, scene.wall_z + r - z]) / np.float32(r)
    normal = np.where(on, curved, normal)
    point = (eye + ray * t).astype(np.float32)
    return Surface(point, unit(normal.astype(np.float32)), ray), t.astype(np.float32), is_wall | (on & (y > r * 0.3))


def shade_set(scene: Scene, shape: Sdf, ray: Array) -> tuple[Array, Array]:
    at, t, is_wall = look_at_set(scene, ray)
    colour = np.zeros_like(ray)
    same = scene.wall is scene.floor
    for material, mask in ((scene.floor, ~is_wall | same), (scene.wall, is_wall & (not same))):
        pick = np.flatnonzero(mask)
        if pick.size:
            here = Surface(at.point[:, pick], at.normal[:, pick], at.view[:, pick])
            colour[:, pick] = shade(scene, shape, material, here.point, here, product=False)
    return colour, t


def shade_product(scene: Scene, shape: Sdf, ray: Array) -> tuple[Array, Array, Array, NDArray[np.int16]]:
    """Colour, opacity, tint and part number (-1: none) for each ray."""
    count = ray.shape[1]
    colour = np.zeros((3, count), dtype=np.float32)
    tint = np.zeros((3, count), dtype=np.float32)
    number = np.full(count, -1, dtype=np.int16)
    eye = vec(scene.eye)
    near, far, some = sphere_span(eye, ray, vec(scene.centre), scene.radius)
    pick = np.flatnonzero(some)
    t = march(shape, eye, ray[:, pick], near[pick], far[pick])
    pick, t = pick[np.isfinite(t)], t[np.isfinite(t)]
    if not pick.size:
        return colour, np.zeros(count, dtype=np.float32), tint, number
    point = eye + ray[:, pick] * t
    normal = normals(shape, point)
    gaps = np.stack([part.shape(part.to_local(point)) for part in scene.parts])
    number[pick] = np.argmin(gaps, axis=0)
    for index, part in enumerate(scene.parts):
        mine = number[pick] == index
        if mine.any():
            where = pick[mine]
            here = Surface(point[:, mine], normal[:, mine], ray[:, where])
            local = part.to_local(here.point)
            colour[:, where] = shade(scene, shape, part.material, local, here, product=True)
            if part.material.clear:
                facing = np.clip(dot(here.normal, -here.view), 0, 1)
                tint[:, where] = part.material.paint(local) * (part.material.clear * facing**0.7)
    return colour, (number >= 0).astype(np.float32), tint, number
