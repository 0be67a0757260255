"""What sets and products are made of."""

from __future__ import annotations

import textures as tx
from render import Material


def oak(light: str = "#b58a5c", dark: str = "#6f4a2d") -> Material:
    return Material(tx.wood(light, dark, planks=1.5), rough=0.45, relief=tx.noise_relief(0.9, 0.9, 33), depth=0.0025)


def timber(light: str, dark: str, along: int = 0, rough: float = 0.45) -> Material:
    return Material(tx.wood(light, dark, along=along, seed=35), rough=rough)


def wall(code: str) -> Material:
    return Material(tx.plaster(code), rough=0.95, relief=tx.noise_relief(0.25, 1.4, 72), depth=0.006)


def paper(code: str) -> Material:
    return Material(tx.plain(code, 0.02), rough=0.95)


def stone(light: str, dark: str) -> Material:
    return Material(tx.concrete(light, dark), rough=0.7, relief=tx.noise_relief(0.5, 1.0, 62), depth=0.005)


def linen(code: str) -> Material:
    return Material(tx.cloth(code, 30), rough=0.95, sheen=0.15, relief=tx.cloth_relief(30), depth=0.003)


def glaze(code: str, spots: str = "#3b2a1e", rough: float = 0.14, amount: float = 0.3) -> Material:
    return Material(tx.speckled(code, spots, amount), rough=rough, shine=0.05)


def glass(code: str) -> Material:
    return Material(tx.plain(code, 0.02), rough=0.03, shine=0.06, clear=1.0)


def fabric(code: str, threads: float = 40, depth: float = 0.002, slub: float = 0.3) -> Material:
    return Material(
        tx.cloth(code, threads, slub=slub), rough=0.95, sheen=0.4, relief=tx.cloth_relief(threads), depth=depth
    )


def leather(code: str) -> Material:
    return Material(tx.plain(code, 0.2, 47), rough=0.45, shine=0.045, relief=tx.noise_relief(1.1, 0.8, 48), depth=0.004)


def brushed(code: str, rough: float = 0.28) -> Material:
    return Material(tx.plain(code, 0.04), rough=rough, metal=True)
