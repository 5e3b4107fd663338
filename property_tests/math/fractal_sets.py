"""Sets of known dimension, drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["FRACTALS", "Points"]

Points: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def _attractor(maps: list[Any], shifts: list[Any]) -> Callable[[int, np.random.Generator], Points]:
    """Return the game of chaos of affine maps of one ratio: each point goes through forty maps at random."""
    matrices, offsets = np.array(maps, dtype=np.float64), np.array(shifts, dtype=np.float64)

    def draw(n: int, rng: np.random.Generator) -> Points:
        x: Points = np.zeros((n, offsets.shape[1]))
        for _ in range(40):
            chosen = rng.integers(0, len(offsets), n)
            x = np.einsum("nij,nj->ni", matrices[chosen], x) + offsets[chosen]
        return np.clip(x, 0.0, np.nextafter(1.0, 0.0))

    return draw


def _koch() -> Callable[[int, np.random.Generator], Points]:
    c, s = 1.0 / 6.0, np.sqrt(3.0) / 6.0
    third = np.eye(2) / 3.0
    turns = [third, [[c, -s], [s, c]], [[c, s], [-s, c]], third]
    return _attractor(turns, [[0, 0], [1 / 3, 0], [1 / 2, s], [2 / 3, 0]])


def _henon(n: int, rng: np.random.Generator) -> Points:
    x, y = rng.uniform(-0.1, 0.1, 2)
    found = []
    for _ in range(n + 100):
        x, y = 1.0 - 1.4 * x * x + y, 0.3 * x
        found.append((x, y))
    return np.array(found[100:])


def _uniform(d: int) -> Callable[[int, np.random.Generator], Points]:
    return lambda n, rng: rng.random((n, d))


FRACTALS: Final[dict[str, tuple[Callable[[int, np.random.Generator], Points], float]]] = {
    "cantor": (_attractor([[[1 / 3]]] * 2, [[0], [2 / 3]]), np.log(2) / np.log(3)),
    "koch": (_koch(), np.log(4) / np.log(3)),
    "sierpinski": (_attractor([np.eye(2) / 2] * 3, [[0, 0], [1 / 2, 0], [1 / 4, np.sqrt(3) / 4]]), np.log2(3)),
    "henon": (_henon, 1.21),
    "uniform square": (_uniform(2), 2.0),
    "uniform cube": (_uniform(3), 3.0),
    "uniform in five dimensions": (_uniform(5), 5.0),
}
"""How to draw them, and their dimension (Henon: the correlation dimension, +- 0.01)."""
