"""Clothes, bags and small things in front of the camera. Lengths in dm."""

# An outline is a row of points, not a column of numbers:
# fmt: off
from __future__ import annotations

import numpy as np
import textures as tx
from homeware import LANDSCAPE, PORTRAIT, rod
from materials import brushed, fabric, leather, linen, oak, paper, stone, timber, wall
from render import Material, Part, Scene, Sdf
from shapes import at, block, egg, join, outline, pill, placed, ring, tube, turned, uneven, within, without
from textures import Array


def cap() -> Scene:
    flat = outline(((0.0, 1.62), (0.45, 1.52), (0.72, 1.20), (0.80, 0.72), (0.62, 0.56), (0.0, 0.78), (-0.62, 0.56),
                    (-0.80, 0.72), (-0.72, 1.20), (-0.45, 1.52)))

    def crown(p: Array) -> Array:
        return np.maximum(egg(0.82, 0.86, 0.92)(p), np.maximum(-egg(0.79, 0.83, 0.89)(p), -0.096 - p[1]))

    def peak(p: Array) -> Array:
        y = p[1] - 0.10 + 0.30 * p[0] ** 2 + 0.10 * (p[2] - 0.7)
        return np.maximum(flat(p[0], p[2]), np.abs(y) - 0.022) * 0.75 - 0.008

    def sewn(p: Array) -> Array:
        seam = np.abs(np.sin(np.arctan2(p[0], p[2]) * 3))
        return tx.cloth("#7c5a36", 44, slub=0.12)(p) * (0.55 + 0.45 * tx.smoothstep(0.0, 0.05, seam))

    def stitched(p: Array) -> Array:
        rows = np.abs(np.sin(-flat(p[0], p[2]) * 34))
        return tx.cloth("#7c5a36", 44, slub=0.12)(p) * (0.72 + 0.28 * tx.smoothstep(0.0, 0.25, rows))

    twill = Material(sewn, 0.95, sheen=0.3, relief=tx.cloth_relief(44), depth=0.0015)
    bill = Material(stitched, 0.95, sheen=0.3, relief=tx.cloth_relief(44), depth=0.0015)
    move = placed(-0.15, 0.10, -0.15, turn=-38)
    wobbly = uneven(crown, tx.noise_relief(0.12, 2.2, 93), 0.10, 0.8)
    return Scene(
        [Part(wobbly, twill, move), Part(peak, bill, move), Part(egg(0.07, 0.03, 0.07), twill, placed(-0.15, 0.97, -0.15))],
        paper("#b9b3a8"), wall("#b9b3a8"), eye=(0, 2.1, 6.2), target=(-0.02, 0.46, 0), zoom=4.0, centre=(0, 0.45, 0.1),
        radius=1.75, sweep=1.2, wall_z=-3.4, size=LANDSCAPE,
    )


def beanie() -> Scene:
    dome = turned(((0, 0.1), (0.72, 0.1), (0.72, 0.1), (0.76, 0.5), (0.70, 0.85), (0.48, 1.16), (0.2, 1.30), (0, 1.33)))
    brim = turned(((0, 0), (0.72, 0), (0.79, 0.04), (0.82, 0.2), (0.80, 0.42), (0.74, 0.45), (0, 0.42)))

    def knit(p: Array) -> Array:
        arc = np.arctan2(p[0], p[2])
        stitches = 0.32 * np.cos(arc * 52) + 0.18 * np.cos(p[1] * 74 + 3 * np.abs(np.sin(arc * 26)))
        return 0.5 + stitches * tx.smoothstep(0.0, 0.12, p[1]) * tx.smoothstep(1.36, 1.15, p[1])

    def wool(code: str) -> Material:
        def paint(p: Array) -> Array:
            return tx.plain(code, 0.25, 94)(p) * (0.62 + 0.55 * knit(p))

        return Material(paint, 1.0, sheen=0.5, relief=tx.noise_relief(1.6, 0.6, 95), depth=0.006)

    bobble = uneven(egg(0.27, 0.26, 0.27), tx.noise_relief(0.6, 1.4, 96), 0.08, 0.6)
    fluff = Material(tx.plain("#c9bda9", 0.2), 1.0, sheen=0.8, relief=tx.noise_relief(1.2, 0.8, 97), depth=0.004)
    soft = tx.noise_relief(0.13, 2.2, 98)
    return Scene(
        [Part(uneven(uneven(dome, soft, 0.16, 1.0), knit, 0.026, 0.7), wool("#8c4a34")),
         Part(uneven(uneven(brim, soft, 0.10, 1.0), knit, 0.030, 0.7), wool("#8c4a34")), Part(bobble, fluff, placed(0, 1.50, 0))],
        timber("#a98762", "#6a4a31"), wall("#9aa3a0"), eye=(0, 1.9, 6.2), target=(0, 0.80, 0), zoom=4.4, centre=(0, 0.9, 0),
        radius=1.25, key=(-4.4, 4.2, 2.4),
    )


def tote() -> Scene:
    panel = outline(((-0.86, 1.75), (-0.86, 1.75), (0.0, 1.72), (0.86, 1.75), (0.86, 1.75), (0.82, 0.9), (0.76, 0.06),
                     (0.70, 0.0), (0.0, -0.01), (-0.70, 0.0), (-0.76, 0.06), (-0.82, 0.9)))

    def bag(p: Array) -> Array:
        d = panel(p[0], p[1])
        across = np.clip(1 - np.abs(p[0] / 0.86) ** 2.6, 0, 1) ** 0.6
        full = across * (0.10 + 0.22 * np.clip((1.8 - p[1]) / 1.4, 0, 1)) * tx.smoothstep(-0.35, 0.5, p[1])
        fold = tx.look_up(tx.cloud(101, 2.3), p[0] * 0.20, p[1] * 0.09) - 0.5
        drape = 0.03 * np.sin(p[0] * 6 + p[1] * 1.5) * np.clip(p[1], 0, 1)
        belly = 0.02 + full + (0.26 * fold + drape) * across
        return np.maximum(d, np.abs(p[2]) - belly) * 0.55 - 0.008

    def strap(z: float, lean: float) -> Sdf:
        arc = ((-0.42, 1.45, z + 0.02), (-0.42, 1.80, z), (-0.38, 2.25, lean), (-0.20, 2.58, lean * 1.3),
               (0.0, 2.66, lean * 1.4), (0.20, 2.58, lean * 1.3), (0.38, 2.25, lean), (0.42, 1.80, z), (0.42, 1.45, z + 0.02))
        return tube(arc, 0.045)

    mark = tx.label(("MERIDIAN", "market & garden"), "#ffffff", "#37423a", (700, 420))
    plain_canvas = tx.cloth("#b8aa8c", 36, slub=0.5)
    area = (-0.46, 0.62, 0.92, 0.52)
    sheet = tx.labelled(plain_canvas, mark[40:-40, 50:-50], area, round_=False, ink_only=True)

    def canvas(p: Array) -> Array:
        seam = 1 - 0.35 * tx.smoothstep(0.012, 0.0, np.abs(p[1] - 1.60))
        return sheet(p) * seam * (0.9 + 0.2 * (tx.weave(p, 36) - 0.5))

    cotton = Material(canvas, 0.95, sheen=0.3, relief=tx.cloth_relief(36), depth=0.002)
    return Scene(
        [Part(within(bag, (-0.9, -0.03, -0.6), (0.9, 1.8, 0.6)), cotton), Part(strap(0.05, 0.16), fabric("#5b4a35", 40, 0.001)),
         Part(strap(-0.05, -0.14), fabric("#5b4a35", 40, 0.001))],
        stone("#aaa49a", "#857f77"), wall("#9fa495"), eye=(0.5, 1.7, 8.2), target=(0, 1.28, 0), zoom=4.5,
        centre=(0, 1.3, 0), radius=1.65, size=PORTRAIT, wall_z=-1.2, key=(-4.4, 4.4, 2.6),
    )


def backpack() -> Scene:
    folds = tx.noise_relief(0.13, 2.1, 103)
    body = uneven(at(block(0.78, 1.08, 0.40, 0.34), placed(0, 1.08, 0)), folds, 0.16, 0.85)
    pocket = uneven(at(block(0.58, 0.42, 0.20, 0.16), placed(0, 0.60, 0.36)), folds, 0.12, 0.85)
    flap = uneven(at(block(0.80, 0.36, 0.46, 0.30), placed(0, 1.86, 0.03)), folds, 0.10, 0.85)
    bands = join(*[at(block(0.065, 0.56, 0.012, 0.01), placed(x, 1.35, 0.50, tip=3)) for x in (-0.34, 0.34)])
    tabs = join(*[at(block(0.085, 0.12, 0.02, 0.012), placed(x, 1.02, 0.535)) for x in (-0.34, 0.34)])
    buckles = join(*[at(without(block(0.115, 0.085, 0.014, 0.01), block(0.08, 0.05, 0.1, 0.01)), placed(x, 1.08, 0.55))
                     for x in (-0.34, 0.34)])
    loop = tube(((-0.16, 2.15, -0.15), (-0.15, 2.34, -0.15), (0, 2.42, -0.15), (0.15, 2.34, -0.15), (0.16, 2.15, -0.15)), 0.04)
    sides = join(*[tube(((s * 0.55, 2.0, -0.3), (s * 0.92, 1.6, -0.42), (s * 0.96, 0.9, -0.42), (s * 0.72, 0.3, -0.3)), 0.06)
                   for s in (-1, 1)])
    patch = at(block(0.20, 0.11, 0.012, 0.01), placed(0, 0.62, 0.575))
    mark = tx.label(("TARN",), "#7a4a28", "#2c190d", (360, 200))
    hide = leather("#6f4326")
    tag = Material(tx.labelled(hide.paint, mark, (-0.2, 0.51, 0.4, 0.22), round_=False), 0.5)
    move = placed(turn=20)
    cloth = fabric("#3f4d57", 40, 0.0018, 0.4)
    return Scene(
        [Part(body, cloth, move), Part(pocket, cloth, move), Part(flap, fabric("#37444d", 40, 0.0018, 0.4), move),
         Part(join(bands, tabs), hide, move), Part(buckles, brushed("#b49a6a", 0.25), move),
         Part(join(loop, sides), hide, move), Part(patch, tag, move)],
        oak("#a98259", "#67452c"), wall("#b6aa98"), eye=(0, 2.0, 8.4), target=(0, 1.2, 0), zoom=4.9, centre=(0, 1.22, 0),
        radius=1.55, size=PORTRAIT, wall_z=-1.6,
    )


def sneaker() -> Scene:
    foot = outline(((-1.30, 0.0), (-1.20, 0.33), (-0.75, 0.40), (-0.1, 0.33), (0.6, 0.45), (1.1, 0.42), (1.40, 0.12),
                    (1.38, -0.18), (1.0, -0.42), (0.4, -0.45), (-0.2, -0.36), (-0.8, -0.38), (-1.22, -0.30)))
    side = outline(((-1.26, 0.1), (-1.30, 0.5), (-1.22, 0.98), (-1.12, 1.06), (-0.75, 0.93), (-0.32, 0.98), (-0.12, 1.06),
                    (0.05, 0.98), (0.5, 0.68), (0.95, 0.50), (1.28, 0.38), (1.40, 0.2), (1.38, 0.1), (1.38, 0.1),
                    (-1.26, 0.1)))

    def smooth_max(a: Array, b: Array, k: float) -> Array:
        h = np.clip(0.5 - 0.5 * (a - b) / k, 0, 1)
        return a + (b - a) * h + k * h * (1 - h)

    def upper(p: Array) -> Array:
        lean = np.clip(p[1] - 0.15, 0, 1)
        body = smooth_max(foot(p[0], p[2]) - 0.015 + 0.22 * lean, side(p[0], p[1]), 0.14)
        opening = egg(0.50, 0.52, 0.20)(p - np.array([[-0.62], [1.02], [0.0]], dtype=np.float32))
        return smooth_max(body, -opening, 0.05) * 0.7

    def sole(p: Array) -> Array:
        spring = 0.05 * np.clip(p[0] - 0.7, 0, 1) ** 2
        a, b = foot(p[0], p[2]) + 0.01, np.abs(p[1] - 0.13 - spring) - 0.10
        return (np.minimum(np.maximum(a, b), 0) + np.hypot(np.maximum(a, 0), np.maximum(b, 0)) - 0.025) * 0.8

    def sides(p: Array) -> Array:
        line = tx.smoothstep(0.012, 0.004, np.abs(p[1] - 0.17))
        return tx.mix(tx.srgb("#d9d4c8"), tx.srgb("#8e3b2e"), line)

    def panels(p: Array) -> Array:
        colour = tx.cloth("#c9c2b2", 40, slub=0.25)(p)
        heel = tx.smoothstep(-0.98, -1.0, p[0] + 0.12 * p[1])
        eyelets = tx.smoothstep(0.0, 0.012, p[1] - 0.56 - 0.0 * p[0]) * tx.smoothstep(-0.16, -0.14, p[0])
        patch = np.maximum(heel, eyelets * tx.smoothstep(0.60, 0.58, p[0]))[None]
        seam = 1 - 0.4 * np.exp(-(((p[0] + 0.12 * p[1] + 0.97) / 0.012) ** 2))
        toe = tx.smoothstep(0.90, 0.915, p[0] + 0.3 * p[1] * 0 - 0.25 * (0.3 - np.abs(p[2])))
        colour = colour * (1 - patch) + np.array(tx.srgb("#75513a"), dtype=np.float32)[:, None] * patch
        return (colour * (1 - toe) + np.array(tx.srgb("#d9d4c8"), dtype=np.float32)[:, None] * toe) * seam

    laces = [tube(((x, y - 0.04, -0.19), (x + 0.015, y + 0.035, -0.1), (x + 0.02, y + 0.05, 0.0), (x + 0.015, y + 0.035, 0.1),
                   (x, y - 0.04, 0.19)), 0.030) for x, y in ((0.08, 0.95), (0.22, 0.86), (0.36, 0.77), (0.50, 0.68))]
    cloth = Material(panels, 0.85, sheen=0.3, relief=tx.cloth_relief(40), depth=0.001)
    rubber = Material(sides, 0.5, relief=tx.noise_relief(1.2, 0.7, 105), depth=0.001)
    room = ((-1.36, -0.02, -0.52), (1.48, 1.15, 0.52))
    parts: list[Part] = []
    for move in (placed(-0.05, 0, 0.35, turn=24), placed(0.1, 0, -0.75, turn=6)):
        parts += [Part(within(upper, *room), cloth, move), Part(within(sole, *room), rubber, move),
                  Part(join(*laces), Material(tx.plain("#e4dfd3", 0.1), 0.9, sheen=0.3), move)]
    return Scene(
        parts, stone("#a09a91", "#7a756d"), wall("#8c9596"), eye=(0.2, 2.3, 7.6), target=(0.04, 0.42, -0.1), zoom=4.7,
        centre=(0, 0.5, -0.2), radius=1.9, size=LANDSCAPE, key=(-3.6, 5.0, 2.6),
    )


def watch() -> Scene:
    case = turned(((0, 0), (0.5, 0), (0.60, 0.03), (0.64, 0.10), (0.62, 0.19), (0.585, 0.225), (0.545, 0.225), (0.535, 0.20),
                   (0.535, 0.20), (0, 0.20)))
    lugs = join(*[at(block(0.045, 0.06, 0.18, 0.04), placed(x, 0.09, z)) for x in (-0.31, 0.31) for z in (-0.57, 0.57)])
    crown = at(rod(0.065, -0.05, 0.05, 0.015), placed(0.70, 0.11, 0, roll=90))

    def dial(p: Array) -> Array:
        r, angle = np.hypot(p[0], p[2]), np.arctan2(p[0], -p[2])
        colour = tx.plain("#1f3140", 0.04)(p) * (1.25 - 0.9 * r * r)
        hour = np.abs(np.sin(angle * 6)) * r / 6
        minute = np.abs(np.sin(angle * 30)) * r / 30
        ink = ((hour < 0.010) & (r > 0.38) & (r < 0.48)) | ((minute < 0.0028) & (r > 0.455) & (r < 0.48))
        ink |= np.abs(r - 0.50) < 0.003
        return np.where(ink, np.array(tx.srgb("#d9cdb0"), dtype=np.float32)[:, None], colour)

    def hand(degrees: float, length: float, width: float) -> Sdf:
        a = np.deg2rad(degrees)
        return pill((-0.08 * np.sin(a), 0.215, 0.08 * np.cos(a)), (length * np.sin(a), 0.215, -length * np.cos(a)), width)

    hands = join(hand(-56, 0.26, 0.015), hand(52, 0.40, 0.011), rod(0.03, 0.205, 0.232))

    def strap(p: Array) -> Array:
        along = np.abs(p[2])
        half = 0.255 - 0.055 * np.clip((along - 0.6) / 1.2, 0, 1)
        y = p[1] - 0.085 - 0.02 * np.sin(along * 4) + 0.02 * (along - 0.6)
        a, b, c = np.abs(p[0]) - half, np.abs(y) - 0.028, np.maximum(0.56 - along, along - 2.05)
        return (np.maximum(a, np.maximum(b, c)) - 0.012) * 0.8

    def sewn(p: Array) -> Array:
        half = 0.255 - 0.055 * np.clip((np.abs(p[2]) - 0.6) / 1.2, 0, 1)
        thread = (np.abs(np.abs(p[0]) - half + 0.035) < 0.007) & (np.sin(p[2] * 60) > -0.4)
        return np.where(thread, np.array(tx.srgb("#cdb08a"), dtype=np.float32)[:, None], leather("#7a4a2a").paint(p))

    hide = Material(sewn, 0.45, 0.045, relief=tx.noise_relief(1.1, 0.8, 48), depth=0.004)
    move = placed(0.02, 0, 0, turn=-32)
    return Scene(
        [Part(join(case, lugs, crown, soft=0.01), brushed("#bdb8af", 0.18), move),
         Part(rod(0.533, 0.1, 0.203), Material(dial, 0.25, 0.05), move), Part(hands, brushed("#d6c08c", 0.2), move),
         Part(strap, hide, move)],
        linen("#a9a190"), linen("#a9a190"), eye=(0, 4.6, 3.4), target=(0.0, 0.0, 0.04), zoom=4.3, centre=(0, 0.1, 0),
        radius=2.1, wall_z=-8.0, key=(-3.6, 4.2, -1.2), key_power=1.9, blur=4.0,
    )


def notebook() -> Scene:
    cover = join(at(block(0.72, 0.018, 1.0, 0.015), placed(0, 0.20, 0)), at(block(0.72, 0.018, 1.0, 0.015), placed(0, 0.02, 0)),
                 at(block(0.03, 0.108, 1.0, 0.025), placed(-0.70, 0.11, 0)), soft=0.01)
    pages = at(block(0.69, 0.085, 0.97, 0.005), placed(0.0, 0.11, 0))

    def sheets(p: Array) -> Array:
        return tx.plain("#ddd2bb", 0.05)(p) * (0.88 + 0.12 * np.sin(p[1] * 420))

    band = at(block(0.028, 0.112, 1.008, 0.01), placed(0.50, 0.11, 0))
    ribbon = at(block(0.022, 0.006, 0.25, 0.004), placed(-0.30, 0.03, 1.10))
    pencil = pill((0, 0.045, -0.62), (0, 0.045, 0.62), 0.040)
    tip = pill((0, 0.045, 0.62), (0, 0.040, 0.80), 0.038, 0.006)
    move = placed(-0.14, 0, 0, turn=24)
    aside = placed(1.02, 0, 0.18, turn=-14)

    def embossed(p: Array) -> Array:
        mark = np.abs(np.hypot(p[0] + 0.1, p[2] + 0.35) - 0.16)
        return leather("#35523f").paint(p) * (1 - 0.45 * tx.smoothstep(0.02, 0.006, mark))

    hide = Material(embossed, 0.5, 0.045, relief=tx.noise_relief(1.0, 0.8, 48), depth=0.004)
    return Scene(
        [Part(cover, hide, move), Part(pages, Material(sheets, 0.95), move),
         Part(band, fabric("#22302a", 40, 0.001), move), Part(ribbon, fabric("#a1432f", 40, 0.001), move),
         Part(pencil, Material(tx.plain("#b98a2e", 0.05), 0.35), aside),
         Part(tip, timber("#d2ab7c", "#a67b4f", along=2), aside)],
        oak("#a57d55", "#65442b"), wall("#b5b0a6"), eye=(0.1, 3.4, 4.4), target=(0.1, 0.06, 0.05), zoom=4.1,
        centre=(0, 0.12, 0.1), radius=1.7, wall_z=-6, size=LANDSCAPE, panes=True, key=(-4.2, 4.6, 0.6), key_power=2.5, blur=4.0,
    )


def stool() -> Scene:
    seat = turned(((0, 2.05), (0.55, 2.05), (0.68, 2.07), (0.72, 2.13), (0.70, 2.19), (0.6, 2.20), (0.3, 2.165), (0, 2.15)))
    legs = [pill((0.40 * s, 2.08, 0.40 * t), (0.66 * s, 0.05, 0.66 * t), 0.062, 0.048) for s in (-1, 1) for t in (-1, 1)]
    rungs = [pill((-0.565, 0.8, t * 0.565), (0.565, 0.8, t * 0.565), 0.036) for t in (-1, 1)]
    rungs += [pill((s * 0.535, 1.05, -0.535), (s * 0.535, 1.05, 0.535), 0.036) for s in (-1, 1)]
    move = placed(turn=28)
    ash = timber("#b08a5e", "#7b5534", along=0, rough=0.5)
    return Scene(
        [Part(seat, ash, move), Part(join(*legs), timber("#b08a5e", "#7b5534", along=1, rough=0.5), move),
         Part(join(*rungs), ash, move), Part(at(ring(0.0, 0.001), placed(0, 2.1, 0)), ash)],
        stone("#97928a", "#736e67"), wall("#8d9a91"), eye=(0, 2.7, 9.6), target=(0, 1.12, 0), zoom=5.6, centre=(0, 1.12, 0),
        radius=1.6, size=PORTRAIT, wall_z=-1.7, panes=True, key_power=2.4,
    )


SCENES = {
    "twill-cap": cap, "rib-beanie": beanie, "canvas-tote": tote, "field-backpack": backpack, "court-sneaker": sneaker,
    "dial-watch": watch, "pocket-notebook": notebook, "ash-stool": stool,
}
