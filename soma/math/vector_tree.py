r"""A tree of directions: the fractal address of an embedding, fitted to the embeddings that there are.

The unit sphere is divided among :math:`2^b` directions by spherical k-means, and the part of each among as many again.
The path of a vector is a code of b bits a level, like that of a point in a frame of b dimensions: `ancestor`, `parent`,
`common_level` and `cell_distance` of `soma.math.coordinates` take it as it is.

It is an address, and not an index: the nearest neighbour of a vector often lies in another cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite
from soma.math.similarity import unit_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from soma.math.space_filling import Codes

__all__ = ["VectorTree"]

MAX_BITS: Final = 16
"""Most bits of an address: the tree keeps a direction for every node, whether or not a vector came there."""

_CHUNK: Final = 2**14  # vectors compared at a time


@final
@dataclass(frozen=True, slots=True, eq=False)
class VectorTree:
    """Directions, level by level; make one with `fit`.

    Parameters
    ----------
    bits : int
        Bits of a level, >= 1: each node has 2^bits children.
    directions : tuple of ndarray of float64
        For each level the unit vectors of its nodes, in the order of their codes: shapes (2^bits, d), (2^(2 bits), d),
        and so on.

    Raises
    ------
    InvalidParameterError
        For arrays of other shapes, more than 16 bits altogether, or numbers that are not finite.

    Notes
    -----
    Source: spherical k-means (Dhillon and Modha 2001), recursively. Laws: ``property_tests/math/test_vector_tree.py``.

    Examples
    --------
    >>> vectors = [[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]]
    >>> tree = VectorTree.fit(vectors, levels=2, bits=1, rng=np.random.default_rng(0))
    >>> codes = tree.address(vectors)
    >>> sorted(codes.tolist()), bool((codes[0] >> 1) == (codes[1] >> 1))
    ([0, 1, 2, 3], True)
    """

    bits: int
    directions: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        _require_size(self.bits, len(self.directions))
        arrays = tuple(finite("directions", level) for level in self.directions)
        dimension = arrays[0].shape[-1] if arrays[0].ndim else 0
        for depth, array in enumerate(arrays, start=1):
            if array.shape != (2 ** (self.bits * depth), dimension) or not dimension:
                raise InvalidParameterError(
                    "directions", array.shape, f"must have 2^{self.bits * depth} rows of length d"
                )
        object.__setattr__(self, "directions", arrays)

    @property
    def levels(self) -> int:
        """Depth of the tree."""
        return len(self.directions)

    @property
    def dimension(self) -> int:
        """Dimension of the vectors."""
        return int(self.directions[0].shape[1])

    @classmethod
    def fit(
        cls,
        vectors: ArrayLike,
        *,
        levels: int,
        bits: int = 2,
        rng: np.random.Generator,
        max_rounds: int = 50,
    ) -> VectorTree:
        """Return the tree of some vectors.

        Parameters
        ----------
        vectors : array_like, shape (n, d)
            Embeddings of any length; only their directions count.
        levels : int
            Depth, >= 1.
        bits : int
            Bits of a level; with the depth at most 16 altogether.
        rng : numpy.random.Generator
            Draws where each division begins.
        max_rounds : int
            Most rounds of k-means for each node, >= 1.

        Returns
        -------
        VectorTree
            The same for the same vectors, in the same order, and the same generator.

        Raises
        ------
        InvalidParameterError
            For no vectors, numbers that are not finite, or a tree that is too large.
        """
        _require_size(bits, levels)
        if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
            raise InvalidParameterError("max_rounds", max_rounds, "must be an integer >= 1")
        rows = _units(vectors)
        if rows.ndim != 2 or not rows.size:
            raise InvalidParameterError("vectors", rows.shape, "must have shape (n, d), n and d >= 1")
        codes = np.zeros(len(rows), np.int64)
        above = _mean(rows)[None, :]
        found = []
        for _ in range(levels):
            here = np.repeat(above, 2**bits, axis=0)
            for node in np.unique(codes):
                is_in = codes == node
                here[node << bits : (node + 1) << bits] = _divide(rows[is_in], above[node], 2**bits, rng, max_rounds)
            codes = _down(rows, codes, here, bits)
            found.append(here)
            above = here
        return cls(bits, tuple(found))

    def address(self, vectors: ArrayLike) -> Codes:
        r"""Return the path of each vector: at every node to the child of the greatest cosine, the first of equal ones.

        Parameters
        ----------
        vectors : array_like, shape (\\*batch, d)
            Embeddings; a zero vector takes the first child everywhere.

        Returns
        -------
        ndarray of uint64, shape (\\*batch,)
            In [0, 2^(bits * levels)): codes of ``levels`` levels and "dimension" ``bits``.

        Raises
        ------
        InvalidParameterError
            For vectors of another dimension, or numbers that are not finite.
        """
        rows = _units(vectors)
        if rows.shape[-1] != self.dimension:
            raise InvalidParameterError("vectors", rows.shape, f"must have dimension {self.dimension}")
        flat = rows.reshape(-1, self.dimension)
        codes = np.zeros(len(flat), np.int64)
        for level in self.directions:
            codes = _down(flat, codes, level, self.bits)
        return codes.astype(np.uint64).reshape(rows.shape[:-1])

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as JSON values."""
        return {"bits": self.bits, "directions": [level.tolist() for level in self.directions]}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> VectorTree:
        """Return the tree that `to_dict` described.

        Raises
        ------
        SerializationError
            For missing or unknown fields.
        InvalidParameterError
            For directions that make no tree.
        """
        if set(description) != {"bits", "directions"} or not isinstance(description["directions"], list):
            raise SerializationError("a tree of vectors has exactly the fields bits and directions")
        return cls(description["bits"], tuple(description["directions"]))


def _require_size(bits: int, levels: int) -> None:
    if type(bits) is not int or type(levels) is not int or bits < 1 or levels < 1 or bits * levels > MAX_BITS:
        raise InvalidParameterError(
            "bits, levels", (bits, levels), f"must be >= 1, with a product of at most {MAX_BITS}"
        )


def _units(vectors: ArrayLike) -> FloatArray:
    return unit_vectors(vectors).astype(np.float64)


def _mean(rows: FloatArray) -> FloatArray:
    """Return the direction of the mean; of the first row where the mean has none."""
    total = rows.sum(axis=0)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 1e-9 * len(rows) else rows[0])


def _divide(rows: FloatArray, whole: FloatArray, n_parts: int, rng: np.random.Generator, max_rounds: int) -> FloatArray:
    """Return the directions of the parts of a node; where there are fewer parts, the first of them again."""
    parts = _seeds(rows, n_parts, rng)
    if len(parts) == 1:
        return np.repeat(whole[None, :], n_parts, axis=0)
    nearest = np.full(len(rows), -1)
    for _ in range(max_rounds):
        now = (rows @ parts.T).argmax(axis=1)
        if (now == nearest).all():
            break
        nearest = now
        for number in range(len(parts)):
            if (nearest == number).any():
                parts[number] = _mean(rows[nearest == number])
    return np.concatenate([parts, np.repeat(parts[:1], n_parts - len(parts), axis=0)])


def _seeds(rows: FloatArray, n_parts: int, rng: np.random.Generator) -> FloatArray:
    """Return rows that are far from each other: each is drawn by its distance from those before (k-means++)."""
    chosen = [rows[int(rng.integers(len(rows)))]]
    distance = np.full(len(rows), np.inf)
    while len(chosen) < n_parts:
        distance = np.minimum(distance, np.clip(1.0 - rows @ chosen[-1], 0.0, None))
        distance[distance < 1e-9] = 0.0  # the same direction, to rounding
        total = np.cumsum(distance)
        if total[-1] <= 0.0:
            break
        chosen.append(rows[int(np.searchsorted(total, rng.random() * total[-1], side="right"))])
    return np.array(chosen)


def _down(rows: FloatArray, codes: NDArray[np.int64], level: FloatArray, bits: int) -> NDArray[np.int64]:
    """Return the codes of the children that vectors at these nodes take."""
    children = level.reshape(-1, 2**bits, level.shape[1])
    found = np.empty_like(codes)
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        if len(children) == 1:
            nearest = (rows[part] @ children[0].T).argmax(axis=1)
        else:
            nearest = np.einsum("nd,nkd->nk", rows[part], children[codes[part]]).argmax(axis=1)
        found[part] = codes[part] << bits | nearest
    return found
