"""Fractal dimension: how the number of cells, their entropy, or the number of near pairs grows as scales shrink.

From addresses, by one sort: `renyi_dimension` (order 0 is box counting, 1 information, 2 correlation),
`renyi_entropies`, `occupied_cells` and `lacunarity`. From points: `grassberger_procaccia`, `two_nn` and
`levina_bickel`. Every estimate comes with its standard error and the range of scales that it was read from.

>>> import numpy as np
>>> from soma.math.coordinates import Frame, address
>>> x = np.random.default_rng(0).random((10_000, 2))
>>> print(renyi_dimension(address(x, Frame.unit(2), 16), 2, 16))
2.000 ± 0.000
>>> print(two_nn(x))
2.003 ± 0.020
"""

from __future__ import annotations

from soma.math.dimension_cells import lacunarity, occupied_cells, renyi_dimension, renyi_entropies
from soma.math.dimension_distances import correlation_sum, grassberger_procaccia, levina_bickel, two_nn
from soma.math.dimension_estimate import DimensionEstimate

__all__ = [
    "DimensionEstimate",
    "correlation_sum",
    "grassberger_procaccia",
    "lacunarity",
    "levina_bickel",
    "occupied_cells",
    "renyi_dimension",
    "renyi_entropies",
    "two_nn",
]
