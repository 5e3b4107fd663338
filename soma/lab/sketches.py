"""Normalisers of bounded size over streams of any length: KLL and t-digest, by the package ``datasketches``."""

from __future__ import annotations

import base64
import binascii
import itertools
import struct
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

import datasketches  # type: ignore[import-untyped]
import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math import importance
from soma.math.domain import FloatArray
from soma.math.importance_base import MAX_COUNT, TIED, Laws, Normaliser, along, read_dict, read_json

__all__ = ["KINDS", "KLL", "TDigest", "from_dict", "from_json"]

_MAX_K: Final = 65_535
_WRONG: Final = (RuntimeError, ValueError, TypeError, IndexError, MemoryError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Sketched(Normaliser):
    """A normaliser whose state is the bytes of a sketch, in base64; empty before any data."""

    settings: ClassVar[tuple[str, ...]] = ("k",)
    least_k: ClassVar[int]
    largest: ClassVar[float] = float(np.finfo(np.float64).max)

    k: int = 200
    sketch: str = ""

    def __post_init__(self) -> None:
        if type(self.k) is not int or not self.least_k <= self.k <= _MAX_K:
            raise InvalidParameterError("k", self.k, f"must be an integer in [{self.least_k}, {_MAX_K}]")
        if not isinstance(self.sketch, str):
            raise InvalidParameterError("sketch", self.sketch, "must be text: the bytes of a sketch in base64")
        if self.sketch:
            self._load()

    @property
    def n_seen(self) -> int:
        """Numbers that it has learned from."""
        return self._count(self._load()) if self.sketch else 0

    @abstractmethod
    def _new(self) -> Any: ...

    @abstractmethod
    def _read(self, data: bytes) -> Any: ...

    @abstractmethod
    def _check(self, data: bytes) -> None: ...

    @abstractmethod
    def _count(self, sketch: Any) -> int: ...

    def _load(self) -> Any:
        """Return the sketch. Its bytes are checked first: the library trusts what they say of their own layout."""
        try:
            data = base64.b64decode(self.sketch)
            _require(base64.b64encode(data).decode("ascii") == self.sketch, "another form of base64")
            self._check(data)
            return self._read(data)
        except struct.error:
            raise SerializationError(f"the bytes of the sketch {self.kind} end too early") from None
        except (binascii.Error, *_WRONG) as error:
            raise SerializationError(
                f"these are not the bytes of a sketch {self.kind}, k = {self.k}: {error}"
            ) from None

    def _saved(self, sketch: Any) -> Self:
        if self._count(sketch) > MAX_COUNT:
            raise InvalidParameterError("sketch", self._count(sketch), "must have seen fewer than 2**53 numbers")
        return replace(self, sketch=base64.b64encode(sketch.serialize()).decode("ascii"))

    def _learn(self, x: FloatArray) -> Self:
        if not (np.abs(x) <= self.largest).all():
            raise InvalidParameterError("batch", x, f"must lie within {self.largest:g} of 0")
        sketch = self._load() if self.sketch else self._new()
        sketch.update(x + 0.0)
        return self._saved(sketch)

    def _join(self, other: Self) -> Self:
        if not self.sketch or not other.sketch:
            return self if self.sketch else other
        sketch = self._load()
        sketch.merge(other._load())
        return self._saved(sketch)


@dataclass(frozen=True, slots=True)
class KLL(_Sketched):
    r"""Mid-ranks from a sketch of some hundred numbers, with a known error: random halves of sorted halves.

    .. math:: F(x) = \frac{\hat R_<(x) + \hat R_\le(x)}{2 n}

    with :math:`\hat R` the weight of the retained numbers below :math:`x`. Up to n = k numbers nothing is dropped, and
    it is `soma.math.importance.Ecdf`.

    Parameters
    ----------
    k : int
        Size, in [8, 65535]: about 3 k numbers are retained at most; 200 keeps ranks within 1.33 %.
    sketch : str
        The bytes of the sketch in base64; empty before any data.

    Raises
    ------
    InvalidParameterError
        For k outside its domain.
    SerializationError
        For a text that is not such a sketch.

    Notes
    -----
    Beyond k numbers it draws random bits, from the generator of the library, which cannot be seeded: two runs over the
    same data give two states, and only the law of `rank_error` holds of them. Merging costs no accuracy: a merged
    state has the error of a state of both samples, and the two may lie on either side of the truth.
    Source: Karnin, Lang and Liberty, Optimal quantile approximation in streams (2016); Apache DataSketches.
    Laws: ``property_tests/lab/test_sketches.py``.

    Examples
    --------
    >>> KLL().update([1, 2, 2, 9]).normalise([0, 2, 9]).tolist()
    [0.0, 0.5, 0.875]
    """

    kind: ClassVar[str] = "kll"
    laws: ClassVar[Laws] = Laws(order_independent=False, mergeable=False, exactly_mergeable=False)
    least_k: ClassVar[int] = 8

    @property
    def rank_error(self) -> float:
        """How far a value may lie from its mid-rank in the data: all values at once are within it in 99 % of states."""
        return float(datasketches.kll_doubles_sketch.get_normalized_rank_error(self.k, False))

    def _new(self) -> Any:
        return datasketches.kll_doubles_sketch(self.k)

    def _read(self, data: bytes) -> Any:
        return datasketches.kll_doubles_sketch.deserialize(data)

    def _count(self, sketch: Any) -> int:
        return int(sketch.n)

    def _check(self, data: bytes) -> None:
        preamble, version, family, flags, k, m = struct.unpack_from("<BBBBHB", data)
        _require(family == 15 and k == self.k and m == 8, "another family, k or m")
        if (preamble, version, flags & 5) == (2, 2, 4):
            _require(len(data) == 16, "another length than one number takes")
            _require_within(np.frombuffer(data, "<f8", offset=8), self.largest)
            return
        _require((preamble, version, flags & 5) == (5, 1, 0), "an unknown form")
        n, min_k, n_levels = struct.unpack_from("<QHB", data, 8)
        _require(min_k == k and 1 <= n <= MAX_COUNT and 1 <= n_levels <= 60, "an impossible size")
        starts = struct.unpack_from(f"<{n_levels}I", data, 20)
        ends = (*starts[1:], _kll_capacity(k, m, n_levels))
        sizes = [end - start for start, end in zip(starts, ends, strict=True)]
        offset = 20 + 4 * n_levels
        _require(min(sizes) >= 0 and len(data) == offset + 8 * (2 + sum(sizes)), "levels that do not fill it")
        _require(sum(size << level for level, size in enumerate(sizes)) == n, "levels of another weight")
        numbers = np.frombuffer(data, "<f8", offset=offset)
        _require_within(numbers, self.largest)
        (least, most), kept = numbers[:2], numbers[2:]
        _require(bool(((kept >= least) & (kept <= most)).all()), "numbers outside its range")
        for start, size in itertools.islice(zip(itertools.accumulate(sizes, initial=0), sizes, strict=False), 1, None):
            _require(bool((np.diff(kept[start : start + size]) >= 0).all()), "a level that is not sorted")

    def _map(self, x: FloatArray) -> FloatArray:
        if not self.sketch:
            return np.full_like(x, TIED)
        numbers, weights = np.array(list(self._load()), dtype=np.float64).T
        order = np.argsort(numbers, kind="stable")
        upto = np.concatenate([[0.0], np.cumsum(weights[order])])
        below = upto[np.searchsorted(numbers[order], x, side="left")]
        through = upto[np.searchsorted(numbers[order], x, side="right")]
        return np.asarray((below + through) / (2.0 * upto[-1]))


@dataclass(frozen=True, slots=True)
class TDigest(_Sketched):
    r"""Ranks from the means of neighbouring numbers, small groups at both ends: sharp tails, and no bound.

    A group of weight :math:`w_i` and mean :math:`m_i` stands at the rank :math:`(w_1 + \dots + w_{i-1} + w_i/2)/n`, and
    ranks between two groups are interpolated; groups of one mean share their middle rank. The least and the greatest
    number seen stand at :math:`1/2n` and :math:`1 - 1/2n` where no group has their value.

    Parameters
    ----------
    k : int
        Compression, in [10, 65535]: at most about 2 k groups.
    sketch : str
        The bytes of the sketch in base64; empty before any data.

    Raises
    ------
    InvalidParameterError
        For k outside its domain.
    SerializationError
        For a text that is not such a sketch.

    Notes
    -----
    No bound on its error holds for every stream, so it states none and is not even nearly mergeable: streams exist on
    which any rank comes out wrong, and ties beside a continuum are blurred. On the samples of the tests in random
    order, ranks were within 3 % at k = 200. It draws no random bits: the same batches in the same order give the same
    state. The ranks are read here from the groups of the sketch, so that they are monotone whatever the groups; the
    library's own differ by less than a group. Numbers beyond :math:`\pm 10^{290}`, whose means could overflow, are
    refused.
    Source: Dunning and Ertl, Computing extremely accurate quantiles using t-digests (2019); for the worst case Cormode,
    Mishra, Ross and Vesely, Theory meets practice at the median (2021). Apache DataSketches.
    Laws: ``property_tests/lab/test_sketches.py``.

    Examples
    --------
    >>> TDigest().update([1, 2, 2, 9]).normalise([0, 2, 9]).tolist()
    [0.0, 0.5, 0.875]
    """

    kind: ClassVar[str] = "t_digest"
    laws: ClassVar[Laws] = Laws(
        order_independent=False, mergeable=False, exactly_mergeable=False, nearly_mergeable=False
    )
    least_k: ClassVar[int] = 10
    largest: ClassVar[float] = 1e290  # a mean times a weight below 2**53 stays finite

    def _new(self) -> Any:
        return datasketches.tdigest_double(self.k)

    def _read(self, data: bytes) -> Any:
        return datasketches.tdigest_double.deserialize(data)

    def _count(self, sketch: Any) -> int:
        return int(sketch.get_total_weight())

    def _check(self, data: bytes) -> None:
        preamble, version, family, k, flags = struct.unpack_from("<BBBHB", data)
        _require(version == 1 and family == 20 and k == self.k, "another version, family or k")
        if (preamble, flags & 3) == (1, 2):
            _require(len(data) == 16, "another length than one number takes")
            _require_within(np.frombuffer(data, "<f8", offset=8), self.largest)
            return
        _require((preamble, flags & 3) == (2, 0), "an unknown form")
        n_groups, n_waiting = struct.unpack_from("<II", data, 8)
        _require(n_groups >= 1 and n_waiting == 0 and len(data) == 32 + 16 * n_groups, "groups that do not fill it")
        least, most, means, weights = _groups(data)
        _require_within(np.array([least, most, *means]), self.largest)
        _require(bool((np.diff(means) >= 0).all() and least <= means[0] and means[-1] <= most), "groups out of order")
        _require(min(weights.tolist()) >= 1 and sum(weights.tolist()) <= MAX_COUNT, "an impossible weight")

    def _map(self, x: FloatArray) -> FloatArray:
        if not self.sketch:
            return np.full_like(x, TIED)
        least, most, means, weights = _groups(base64.b64decode(self.sketch))
        at, first = np.unique(means, return_index=True)
        upto = np.concatenate([[0.0], np.cumsum(weights)])
        before, through, n = upto[first], upto[np.append(first[1:], means.size)], upto[-1]
        last = np.append(first[1:], means.size) - 1
        # a column a knot: mean, then the ranks, in counts, where the path enters, stands and leaves
        path = np.stack([at, before + weights[first] / 2, (before + through) / 2, through - weights[last] / 2])
        if least < at[0]:
            path = np.column_stack([[least, 0.5, 0.5, 0.5], path])
        if most > at[-1]:
            path = np.column_stack([path, [most, n - 0.5, n - 0.5, n - 0.5]])
        at, entering, standing, leaving = path
        on = np.minimum(np.searchsorted(at, x), at.size - 1)
        ranks = np.where(at[on] == x, standing[on], along(x, at, leaving, entering)) / n
        return np.asarray(np.where(x < least, 0.0, np.where(x > most, 1.0, ranks)))


KINDS: Final[Mapping[str, type[KLL | TDigest]]] = {"kll": KLL, "t_digest": TDigest}
"""Every sketch, by the name that its JSON form carries."""


def from_dict(description: Mapping[str, Any]) -> Normaliser:
    """Return the sketch, or the normaliser of `soma.math.importance`, that ``to_dict`` described.

    Parameters
    ----------
    description : mapping
        JSON values.

    Returns
    -------
    Normaliser
        Equal to the one described.

    Raises
    ------
    SerializationError
        For an unknown kind, a missing or unknown field, or bytes that are not such a sketch.
    InvalidParameterError
        For another field outside its domain.

    Examples
    --------
    >>> from_dict({"kind": "kll", "k": 8, "sketch": ""})
    KLL(k=8, sketch='')
    """
    return read_dict(description, {**importance.KINDS, **KINDS})


def from_json(text: str) -> Normaliser:
    """Return the sketch, or the normaliser of `soma.math.importance`, that ``to_json`` wrote.

    Parameters
    ----------
    text : str
        One JSON object.

    Returns
    -------
    Normaliser
        Equal to the one described.

    Raises
    ------
    SerializationError
        For text that is not a JSON object of at most 64 MB, and as `from_dict`.

    Examples
    --------
    >>> state = TDigest().update([1, 2])
    >>> from_json(state.to_json()) == state
    True
    """
    return read_json(text, {**importance.KINDS, **KINDS})


def _require(ok: bool, otherwise: str) -> None:
    if not ok:
        raise ValueError(f"it has {otherwise}")


def _require_within(numbers: FloatArray, largest: float) -> None:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        _require(bool((np.abs(numbers) <= largest).all()), "numbers outside the domain")


def _kll_capacity(k: int, m: int, n_levels: int) -> int:
    """Return how many numbers the levels hold at most: k (2/3)^depth each, rounded, and at least m."""
    halves = ((depth // 2, depth - depth // 2) if depth > 30 else (0, depth) for depth in range(n_levels))
    return sum(max(m, _two_thirds(_two_thirds(k, one), other)) for one, other in halves)


def _two_thirds(k: int, power: int) -> int:
    return int(((k << (power + 1)) // 3**power + 1) >> 1)


def _groups(data: bytes) -> tuple[float, float, FloatArray, FloatArray]:
    """Return least and greatest number, means and weights that a t-digest holds."""
    if data[0] == 1:
        (only,) = struct.unpack_from("<d", data, 8)
        return only, only, np.array([only]), np.ones(1)
    least, most = struct.unpack_from("<2d", data, 16)
    groups = np.frombuffer(data, [("mean", "<f8"), ("weight", "<u8")], offset=32)
    return least, most, groups["mean"], groups["weight"].astype(np.float64)
