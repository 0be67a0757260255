"""Homeware in front of the camera: what each piece is made of, and the set that it stands on. Lengths in dm."""

# An outline is a row of points, not a column of numbers:
# fmt: off
from __future__ import annotations

import numpy as np
import textures as tx
from materials import brushed, fabric, glass, glaze, linen, oak, paper, stone, timber, wall
from render import Material, Part, Scene, Sdf
from shapes import at, block, egg, join, outline, pill, placed, ring, tube, turned, uneven, within, without
from textures import Array

PORTRAIT, LANDSCAPE = (1200, 1500), (1500, 1200)


def rod(radius: float, low: float, high: float, edge: float = 0.01) -> Sdf:
    """A short cylinder, its edges slightly broken."""
    return turned(
        ((0, low), (radius - edge, low), (radius - edge, low), (radius, low + edge), (radius, low + edge),
         (radius, high - edge), (radius, high - edge), (radius - edge, high), (radius - edge, high), (0, high))
    )


def mug() -> Scene:
    body = turned(
        ((0, 0), (0.33, 0), (0.36, 0.0), (0.41, 0.05), (0.445, 0.2), (0.45, 0.55), (0.44, 0.88), (0.435, 0.93),
         (0.415, 0.945), (0.395, 0.92), (0.395, 0.6), (0.385, 0.2), (0.32, 0.08), (0.1, 0.06), (0, 0.06))
    )
    bow = ((0.40, 0.76, 0), (0.62, 0.79, 0), (0.73, 0.62, 0), (0.70, 0.38, 0), (0.56, 0.22, 0), (0.40, 0.20, 0))
    handle = without(tube(bow, 0.062, 0.055), rod(0.40, -0.1, 1.2))
    look = glaze("#e4dccd", amount=0.34)
    dipped = Material(tx.banded(tx.plain("#a88363", 0.12), look.paint, 0.21), 0.16, 0.05)
    return Scene(
        [
            Part(join(body, handle, soft=0.04), dipped, placed(turn=-28)),
            Part(rod(0.39, 0.1, 0.80), Material(tx.plain("#2a1509"), rough=0.1)),
        ],
        oak(), wall("#a9a597"), eye=(0, 1.55, 4.6), target=(0.06, 0.42, 0), zoom=4.4, centre=(0.1, 0.5, 0), radius=1.0,
        panes=True, key_power=2.3,
    )


def bowl() -> Scene:
    body = turned(
        ((0, 0), (0.36, 0), (0.40, 0.0), (0.42, 0.05), (0.42, 0.09), (0.62, 0.18), (0.93, 0.42), (1.06, 0.68),
         (1.06, 0.72), (1.03, 0.73), (0.88, 0.46), (0.6, 0.24), (0.3, 0.14), (0, 0.12))
    )
    look = glaze("#47606b", "#1c2a30", 0.12, 0.35)
    rim = Material(tx.banded(look.paint, tx.plain("#8d6a48", 0.1), 0.70, 0.008), 0.14, 0.05)
    lemon = join(egg(0.29, 0.22, 0.22), egg(0.37, 0.07, 0.07), soft=0.07)
    peel = Material(tx.plain("#d9ab25", 0.1), 0.38, 0.05, relief=tx.noise_relief(1.3, 0.7, 15), depth=0.004)
    fruit = ((-0.30, 0.46, 0.12, 25), (0.28, 0.46, 0.22, -50), (0.02, 0.45, -0.36, 80), (0.03, 0.74, -0.02, 10))
    return Scene(
        [Part(body, rim)] + [Part(lemon, peel, placed(x, y, z, turn=turn, roll=14)) for x, y, z, turn in fruit],
        linen("#bdb19d"), wall("#8f8a80"), eye=(0, 2.5, 5.2), target=(0, 0.34, 0), zoom=3.9, centre=(0, 0.4, 0),
        radius=1.3, key=(-3.8, 4.2, 1.6),
    )


def plates() -> Scene:
    section = ((0, 0.02), (0.6, 0.02), (0.66, 0.0), (0.72, 0.02), (1.0, 0.09), (1.28, 0.17), (1.30, 0.19),
               (1.28, 0.205), (1.0, 0.125), (0.80, 0.075), (0.6, 0.065), (0, 0.065))
    dinner = turned(section)
    side = turned(tuple((r * 0.74, y) for r, y in section))
    fork = Material(tx.plain("#b9b4aa", 0.03), 0.2, metal=True)
    colours = ("#d8d2c6", "#d8d2c6", "#9fa893")
    stack = [Part(dinner, glaze(code, amount=0.2), placed(0, 0.105 * i)) for i, code in enumerate(colours)]
    return Scene(
        [*stack, Part(side, glaze("#d8d2c6", amount=0.24), placed(0.02, 0.32, 0.01)),
         Part(join(pill((1.52, 0.03, 0.9), (1.46, 0.05, -0.1), 0.03, 0.022), at(egg(0.085, 0.02, 0.2),
              placed(1.45, 0.05, -0.3)), soft=0.04), fork)],
        stone("#8b8781", "#5e5b57"), wall("#7c776f"), eye=(0, 2.7, 5.4), target=(0.1, 0.18, 0), zoom=3.5,
        centre=(0.1, 0.2, 0), radius=1.8, size=LANDSCAPE, key=(-4.4, 3.8, 0.4), key_power=2.1,
    )


def teapot() -> Scene:
    body = turned(
        ((0, 0), (0.42, 0), (0.46, 0.0), (0.52, 0.06), (0.72, 0.28), (0.76, 0.5), (0.66, 0.78), (0.42, 0.95),
         (0.36, 0.97), (0.36, 0.97), (0, 0.97))
    )
    lid = turned(((0, 0.96), (0.36, 0.97), (0.37, 0.985), (0.30, 1.04), (0.12, 1.09), (0.05, 1.12), (0.05, 1.15),
                  (0.10, 1.20), (0.09, 1.26), (0, 1.28)))
    spout = tube(((0.60, 0.36, 0), (0.86, 0.46, 0), (1.0, 0.70, 0), (1.14, 0.90, 0)), 0.15, 0.065)
    spout = without(spout, pill((1.07, 0.80, 0), (1.25, 1.04, 0), 0.04), 0.02)
    bow = ((-0.48, 0.86, 0), (-0.50, 1.22, 0), (-0.28, 1.55, 0), (0.10, 1.62, 0), (0.42, 1.42, 0), (0.50, 0.86, 0))
    ribs = Material(tx.plain("#2b3533", 0.15), 0.33, 0.05, relief=tx.noise_relief(0.7, 0.9, 16), depth=0.006)
    return Scene(
        [Part(join(body, spout, soft=0.08), ribs, placed(turn=-14)), Part(lid, ribs),
         Part(tube(bow, 0.035, 0.035), brushed("#b98d5d", 0.22), placed(turn=-14))],
        timber("#a37a52", "#5d3d26", along=0), wall("#8d938f"), eye=(0, 1.9, 5.6), target=(0.12, 0.70, 0), zoom=4.0,
        centre=(0.1, 0.75, 0), radius=1.35, sky=(0.42, 0.45, 0.5),
    )


def flask() -> Scene:
    body = turned(
        ((0, 0), (0.33, 0), (0.345, 0.0), (0.365, 0.02), (0.365, 0.1), (0.365, 1.62), (0.345, 1.78), (0.25, 1.92),
         (0.235, 1.97), (0.235, 1.97), (0, 1.97))
    )
    enamel = Material(tx.plain("#23544d", 0.03), 0.30, 0.05, relief=tx.noise_relief(1.2, 0.6, 17), depth=0.0016)
    mark = tx.label(("fjella",), "#23544d", "#d9d6cc", (240, 110))[18:92, 18:222]
    enamel = Material(tx.labelled(enamel.paint, mark, (-0.62, 0.82, 1.24, 0.17), round_=True), 0.30, 0.05)
    cap = join(rod(0.25, 1.99, 2.24, 0.03), at(ring(0.12, 0.025), placed(0, 2.27, 0, tip=90)), soft=0.03)
    return Scene(
        [Part(body, enamel), Part(rod(0.372, -0.005, 0.055), brushed("#b7b4ae")),
         Part(rod(0.238, 1.93, 1.995), brushed("#c4c1ba", 0.2)), Part(cap, Material(tx.plain("#1d1f1f", 0.1), 0.5))],
        stone("#b3afa8", "#86827b"), wall("#b1a08e"), eye=(0, 1.8, 7.4), target=(0, 1.13, 0), zoom=5.2,
        centre=(0, 1.15, 0), radius=1.35, size=PORTRAIT, key_power=1.9, key=(-3.8, 4.4, 3.0),
    )


def vase() -> Scene:
    body = turned(
        ((0, 0), (0.3, 0), (0.34, 0.0), (0.42, 0.08), (0.62, 0.45), (0.66, 0.75), (0.52, 1.10), (0.26, 1.36),
         (0.19, 1.52), (0.22, 1.70), (0.27, 1.76), (0.25, 1.77), (0.19, 1.68), (0.15, 1.5), (0, 1.45))
    )

    def ribbed(p: Array) -> Array:
        return body(p) + 0.012 * np.cos(np.arctan2(p[0], p[2]) * 22) * np.clip(1.5 - p[1], 0, 1)

    stem = Material(tx.plain("#7d6a48", 0.3), 0.8)
    ear = Material(tx.plain("#c6a877", 0.4), 0.9, sheen=0.5, relief=tx.noise_relief(1.6, 0.7, 18), depth=0.03)
    stalks = ((0.02, 0.62, 0.12), (-0.05, -0.55, -0.05), (0.0, 0.12, -0.20), (0.06, -0.16, 0.18), (0, 0.36, -0.3))
    grass = [tube(((x, 1.5, 0), (x + lean * 0.35, 2.2, z * 0.5), (x + lean, 2.75 - abs(lean) * 0.4, z)), 0.014, 0.009)
             for x, lean, z in stalks]
    tufts = [at(egg(0.06, 0.30, 0.06), placed(x + lean * 1.14, 2.93 - abs(lean) * 0.52, z, roll=-lean * 42))
             for x, lean, z in stalks]
    return Scene(
        [Part(lambda p: ribbed(p) * 0.85, Material(tx.plain("#c9bba6", 0.14), 0.75, 0.04,
              relief=tx.noise_relief(0.9, 0.9, 14), depth=0.004)), Part(join(*grass), stem), Part(join(*tufts), ear)],
        paper("#b98f76"), wall("#b98f76"), eye=(0, 1.9, 8.4), target=(0, 1.52, 0), zoom=4.5, centre=(0, 1.6, 0),
        radius=1.85, size=PORTRAIT, wall_z=-1.5, key_power=2.0, panes=True,
    )


def candle() -> Scene:
    jar = turned(
        ((0, 0), (0.38, 0), (0.40, 0.0), (0.42, 0.03), (0.42, 0.1), (0.42, 0.86), (0.41, 0.89), (0.395, 0.87),
         (0.395, 0.5), (0.39, 0.12), (0.39, 0.12), (0, 0.12))
    )
    print_ = tx.label(("Nord & Salt", "cedar  ·  smoke  ·  amber", "soy wax candle", "220 g  /  45 h"), "#ece5d6", "#3a332b",
                      (720, 560))
    look = tx.labelled(tx.plain("#3a3430", 0.12), print_, (-0.75, 0.22, 1.5, 0.46), round_=True)
    flame = join(egg(0.028, 0.085, 0.028), at(egg(0.012, 0.09, 0.012), placed(0, 0.05, 0)), soft=0.05)
    lid = rod(0.43, 0, 0.085, 0.02)
    return Scene(
        [Part(jar, Material(look, 0.42, 0.045)),
         Part(rod(0.40, 0.15, 0.72), Material(tx.plain("#e6d3ae", 0.05), 0.35, glow=0.28)),
         Part(pill((0, 0.7, 0), (0.01, 0.80, 0), 0.012), Material(tx.plain("#1a120c"), 0.9)),
         Part(flame, Material(tx.plain("#ffb24a"), 1.0, glow=5.0), placed(0.01, 0.89, 0)),
         Part(lid, timber("#b98a5a", "#744c2c"), placed(0.70, 0.42, 0.1, roll=74, turn=35))],
        stone("#6b6661", "#464340"), wall("#544c46"), eye=(0, 1.6, 4.9), target=(0.14, 0.46, 0), zoom=4.2,
        centre=(0.2, 0.5, 0), radius=1.1, key_power=1.35, lamp=(0, 1.0, 0.1), sky=(0.26, 0.27, 0.31),
    )


def cushion() -> Scene:
    def pillow(p: Array) -> Array:
        x, y, z = p
        u, v = np.abs(x) / 0.95, np.abs(y) / 0.95
        # Corners stick out a little, edges are drawn in.
        pull = 1 + 0.07 * (1 - np.clip(np.minimum(u, v), 0, 1)) ** 2
        u, v = u * pull, v * pull
        full = np.clip(1 - u**2.4, 0, 1) * np.clip(1 - v**2.4, 0, 1)
        swell = 0.03 + 0.42 * full**0.6
        crease = tx.look_up(tx.cloud(55, 2.4), x * 0.16, y * 0.16) - 0.5
        tug = np.sin(np.arctan2(y, x) * 17 + x * 3) * (u * u * v * v)
        swell = swell + (0.22 * crease + 0.035 * tug) * np.clip(full * 4, 0, 1)
        return np.maximum((np.abs(z) - swell) * 0.5, (np.maximum(u, v) - 1) * 0.8)

    return Scene(
        [Part(pillow, fabric("#6f7c5c", 34, 0.0028, 0.5), placed(0, 0.93, 0, tip=-14, turn=16))],
        linen("#b5aa98"), wall("#b9b1a4"), eye=(0, 1.9, 6.4), target=(0, 0.88, 0), zoom=4.3, centre=(0, 0.95, 0),
        radius=1.6, wall_z=-1.4, key=(-4.6, 4.2, 2.2),
    )


def towels() -> Scene:
    def folded(width: float, depth: float, seed: int) -> Sdf:
        layers = [at(block(width, 0.095, depth, 0.09), placed(0, 0.10 + 0.17 * i, -0.01 * i)) for i in range(2)]
        fold = at(block(width, 0.17, 0.16, 0.15), placed(0, 0.18, depth - 0.14))
        return uneven(join(*layers, fold, soft=0.05), tx.noise_relief(0.22, 1.9, seed), 0.07, 0.75)

    def terry(code: str) -> Material:
        return Material(tx.plain(code, 0.1), 1.0, sheen=0.7, relief=tx.noise_relief(1.5, 0.55, 57), depth=0.016)

    rows = (("#5f7480", 0.0, 3), ("#cfc6b8", 0.36, -3), ("#b77f63", 0.72, 2), ("#cfc6b8", 1.08, -1))
    return Scene(
        [Part(folded(1.0 - 0.03 * i, 0.62, 58 + i), terry(code), placed(0, y, 0, turn=turn - 22))
         for i, (code, y, turn) in enumerate(rows)],
        Material(tx.marble("#cfcac3", "#77736f"), 0.3), wall("#8fa09c"), eye=(0, 2.2, 6.2), target=(0, 0.68, 0), zoom=3.9,
        centre=(0, 0.75, 0), radius=1.55, wall_z=-2.2,
    )


def soap() -> Scene:
    body = turned(
        ((0, 0), (0.34, 0), (0.37, 0.0), (0.40, 0.04), (0.40, 0.15), (0.40, 0.98), (0.36, 1.12), (0.18, 1.24),
         (0.15, 1.28), (0.15, 1.36), (0.15, 1.36), (0, 1.36))
    )
    print_ = tx.label(("Halden", "hand wash", "bergamot  ·  vetiver", "500 ml"), "#e9e3d5", "#2f2a24", (640, 640))
    pump = join(rod(0.175, 1.30, 1.50, 0.02), rod(0.05, 1.48, 1.74), at(block(0.10, 0.055, 0.09, 0.04), placed(0, 1.77, 0)),
                tube(((0, 1.78, 0), (-0.22, 1.79, 0.02), (-0.40, 1.70, 0.03)), 0.042, 0.026), soft=0.015)
    amber = tx.labelled(tx.plain("#6b3410", 0.08), print_, (-0.72, 0.24, 1.44, 0.58), round_=True)

    def glassy(p: Array) -> Array:
        # The liquid is darker than the glass above it, and the walls are darker still.
        level = 0.45 + 0.55 * tx.smoothstep(0.95, 1.05, p[1])
        printed = (np.abs(np.arctan2(p[0], p[2])) < 0.72) & (p[1] > 0.24) & (p[1] < 0.82)
        return amber(p) * np.where(printed, 1.0, level)

    return Scene(
        [Part(body, Material(glassy, 0.10, 0.06, clear=0.0)),
         Part(pump, Material(tx.plain("#171716", 0.05), 0.38, 0.045), placed(turn=18))],
        Material(tx.marble("#c9c3ba", "#837a70"), 0.25), wall("#a8a091"), eye=(0, 1.6, 6.4), target=(0, 0.92, 0), zoom=5.8,
        centre=(0, 0.95, 0), radius=1.15, size=PORTRAIT, key_power=2.0,
    )


def carafe() -> Scene:
    body = turned(
        ((0, 0), (0.40, 0), (0.43, 0.0), (0.46, 0.05), (0.47, 0.4), (0.42, 0.85), (0.22, 1.25), (0.17, 1.45), (0.20, 1.7),
         (0.24, 1.78), (0.225, 1.785), (0.0, 1.70))
    )
    water = rod(0.47, 0.0, 0.02)
    tumbler = turned(((0, 0), (0.24, 0), (0.26, 0.0), (0.28, 0.03), (0.30, 0.35), (0.31, 0.72), (0.30, 0.73), (0, 0.72)))
    cork = turned(((0, 1.68), (0.17, 1.68), (0.17, 1.68), (0.205, 1.98), (0.205, 1.98), (0.19, 2.0), (0, 2.0)))
    bark = Material(tx.concrete("#b58d60", "#7d5937", 63), 0.9)
    return Scene(
        [Part(body, glass("#9fb8ae")), Part(tumbler, glass("#a9c0b6"), placed(0.82, 0, 0.25)), Part(cork, bark),
         Part(water, glass("#8fb0a6"))],
        timber("#9a7350", "#5a3c26"), wall("#8e9c9a"), eye=(0, 1.6, 6.8), target=(0.24, 0.95, 0), zoom=5.0,
        centre=(0.3, 0.95, 0), radius=1.35, size=PORTRAIT, key=(-3.4, 4.6, 1.2), key_power=2.2,
    )


def table_lamp() -> Scene:
    base = turned(((0, 0), (0.3, 0), (0.36, 0.02), (0.5, 0.2), (0.58, 0.45), (0.52, 0.75), (0.3, 1.0), (0.13, 1.12),
                   (0.1, 1.2), (0.1, 1.2), (0, 1.2)))
    shade = turned(((0, 2.28), (0.5, 2.28), (0.5, 2.28), (0.82, 1.38), (0.82, 1.38), (0.84, 1.38), (0.84, 1.38),
                    (0.525, 2.30), (0.525, 2.30), (0, 2.30)))

    def lit(p: Array) -> Array:
        warm = np.exp(-(((p[1] - 1.72) / 0.36) ** 2))
        return tx.cloth("#d9c29a", 40)(p) * np.stack([0.45 + 0.9 * warm, 0.40 + 0.66 * warm, 0.34 + 0.40 * warm])

    return Scene(
        [Part(base, glaze("#5d716b", "#2e3833", 0.2)), Part(pill((0, 1.15, 0), (0, 1.6, 0), 0.035), brushed("#c8a467")),
         Part(shade, Material(lit, 0.95, glow=0.75))],
        timber("#7d5134", "#452818"), wall("#857b6e"), eye=(0, 2.0, 7.6), target=(0, 1.18, 0), zoom=4.9,
        centre=(0, 1.15, 0), radius=1.5, wall_z=-1.5, key_power=0.9, lamp=(0, 1.75, 0), size=PORTRAIT,
        sky=(0.26, 0.28, 0.33),
    )


def dome_lamp() -> Scene:
    cap = turned(((0, 0.98), (0.7, 0.98), (0.86, 1.0), (0.90, 1.06), (0.82, 1.36), (0.52, 1.62), (0.2, 1.71), (0, 1.72)))
    foot = turned(((0, 0), (0.48, 0), (0.52, 0.0), (0.53, 0.04), (0.40, 0.12), (0.20, 0.30), (0.15, 0.60), (0.18, 1.0),
                   (0.18, 1.0), (0, 1.0)))

    def lit(p: Array) -> Array:
        warm = tx.smoothstep(1.75, 1.0, p[1])
        return tx.plain("#e0cda6", 0.02)(p) * np.stack([0.6 + 0.55 * warm, 0.58 + 0.38 * warm, 0.55 + 0.16 * warm])

    return Scene(
        [Part(cap, Material(lit, 0.22, glow=0.85)), Part(foot, brushed("#c29a5c", 0.25))],
        timber("#5f4231", "#33211a"), wall("#5d6a6b"), eye=(0, 1.7, 6.6), target=(0, 0.86, 0), zoom=4.0,
        centre=(0, 0.86, 0), radius=1.2, wall_z=-1.6, key_power=0.85, lamp=(0, 1.0, 0.2), sky=(0.24, 0.27, 0.32),
    )


def plant() -> Scene:
    pot = turned(
        ((0, 0.06), (0.36, 0.06), (0.40, 0.06), (0.43, 0.12), (0.54, 0.70), (0.54, 0.70), (0.60, 0.70), (0.60, 0.70),
         (0.625, 0.95), (0.61, 0.97), (0.56, 0.96), (0.54, 0.85), (0.54, 0.85), (0, 0.85))
    )
    saucer = turned(((0, 0), (0.5, 0), (0.54, 0.01), (0.60, 0.09), (0.58, 0.10), (0.52, 0.05), (0, 0.05)))
    clay = Material(tx.concrete("#b5704c", "#8d4f33", 68), 0.9, relief=tx.noise_relief(0.7, 0.9, 69), depth=0.006)
    lens = outline(((0, 0), (0.09, 0.25), (0.13, 0.7), (0.09, 1.2), (0, 1.55), (0, 1.55), (-0.09, 1.2), (-0.13, 0.7),
                    (-0.09, 0.25)))

    def blade(p: Array) -> Array:
        twist = p[1] * 0.7
        x, z = p[0] * np.cos(twist) - p[2] * np.sin(twist), p[0] * np.sin(twist) + p[2] * np.cos(twist)
        z = z - 0.9 * x * x
        return np.maximum(lens(x, p[1]), np.abs(z) - 0.018) * 0.7

    def striped(p: Array) -> Array:
        bands = np.sin(p[1] * 26 + 4 * tx.look_up(tx.cloud(91, 1.2), p[0] * 0.8, p[1] * 0.3))
        return tx.mix(tx.srgb("#2f4a2b"), tx.srgb("#75905a"), 0.35 + 0.35 * bands)

    ranks = ((0, 0.05, 0, 4, 0), (-0.2, 0, 40, 14, -4), (0.2, 0.02, -30, -13, 3), (0.06, 0.2, 90, -5, 11),
             (-0.1, -0.2, 150, 7, -12), (0.28, -0.12, 20, -20, -6), (-0.28, 0.14, -60, 20, 8), (0.05, -0.05, 120, -3, -3))
    leaf = Material(striped, 0.38, 0.045)
    leaves = [
        Part(within(at(blade, placed(turn=turn)), (-0.24, -0.02, -0.24), (0.24, 1.57, 0.24)), leaf,
             placed(x, 0.82, z, roll=roll, tip=tip))
        for x, z, turn, roll, tip in ranks
    ]
    return Scene(
        [Part(pot, clay), Part(saucer, clay),
         Part(uneven(rod(0.53, 0.78, 0.88), tx.noise_relief(0.9, 1.0, 92), 0.05), Material(tx.plain("#2a1d15", 0.4), 1.0)),
         *leaves],
        oak("#b58f63", "#765034"), wall("#b7b3a8"), eye=(0, 1.9, 8.0), target=(0, 1.2, 0), zoom=5.0, centre=(0, 1.2, 0),
        radius=1.6, size=PORTRAIT, wall_z=-1.7, panes=True, key_power=2.3,
    )


SCENES = {
    "stoneware-mug": mug, "serving-bowl": bowl, "dinner-plates": plates, "iron-teapot": teapot, "steel-flask": flask,
    "ribbed-vase": vase, "cedar-candle": candle, "linen-cushion": cushion, "towel-set": towels, "hand-wash": soap,
    "glass-carafe": carafe, "table-lamp": table_lamp, "dome-lamp": dome_lamp, "plant-pot": plant,
}
