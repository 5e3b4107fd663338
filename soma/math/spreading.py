r"""What reaches a memory over links: ACT-R's spreading activation, and personalised PageRank.

Memories are nodes, numbered from 0; links are directed and weighted. A link that fades gets its weight from
`decayed_weights` before it becomes one of `Links`.

>>> from soma.math.decay import Exponential
>>> day = 86_400.0
>>> weight = decayed_weights([1.0, 1.0], [0.0, 7 * day], Exponential(half_life_s=7 * day))
>>> links = Links.of([0, 0], [1, 2], weight, n_nodes=3)
>>> personalised_pagerank(links, [1.0, 0.0, 0.0]).round(4).tolist()
[0.6667, 0.2222, 0.1111]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.decay_family import Curve
from soma.math.domain import FloatArray, finite, non_negative, positive_scalar, unit_interval_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Fan",
    "Links",
    "association_strengths",
    "decayed_weights",
    "personalised_pagerank",
    "spreading_activation",
]

Fan: TypeAlias = Literal["facts", "facts_and_self", "weights"]
"""What `association_strengths` counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Weighted, directed links between nodes; make them with `of`.

    Links of the same ends are one, with the sum of their weights; those of weight 0 are none. What is left is ordered
    by source, then target.

    Parameters
    ----------
    source, target : ndarray of intp, shape (m,)
        The node that each starts from, and the one that it leads to.
    weight : ndarray of float64, shape (m,)
        Strength, finite and > 0.
    n_nodes : int
        How many nodes there are, linked or not: 1 to 2^31 - 1.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Laws: ``property_tests/math/test_spreading.py``.

    Examples
    --------
    >>> links = Links.of([1, 0, 1], [0, 1, 0], [2.0, 5.0, 1.0], n_nodes=2)
    >>> links.source.tolist(), links.target.tolist(), links.weight.tolist()
    ([0, 1], [1, 0], [5.0, 3.0])
    """

    source: NDArray[np.intp]
    target: NDArray[np.intp]
    weight: FloatArray
    n_nodes: int

    def __post_init__(self) -> None:
        n: object = self.n_nodes
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n < 2**31:
            raise InvalidParameterError("n_nodes", n, "must be an integer from 1 to 2^31 - 1")
        source, target = _nodes("source", self.source, n), _nodes("target", self.target, n)
        if target.shape != source.shape:
            raise InvalidParameterError("target", target.shape, f"must have the shape of source, {source.shape}")
        weight = _broadcast("weight", _weights(self.weight), source.shape)
        ends, which = np.unique((source * n + target)[weight > 0.0], return_inverse=True)
        total = np.bincount(which, weights=weight[weight > 0.0], minlength=len(ends))
        if not np.isfinite(total).all():
            raise InvalidParameterError("weight", self.weight, "must be finite, summed over links of the same ends too")
        for name, values in (("source", ends // n), ("target", ends % n), ("weight", total)):
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, source: ArrayLike, target: ArrayLike, weight: ArrayLike = 1.0, *, n_nodes: int) -> Links:
        """Return links from any array-likes.

        Parameters
        ----------
        source, target : array_like of int, shape (m,)
            Nodes, from 0 to n_nodes - 1.
        weight : array_like, broadcastable to (m,)
            Strengths, finite and >= 0.
        n_nodes : int
            How many nodes there are.
        """
        return cls(source, target, weight, n_nodes)  # type: ignore[arg-type]

    def probability(self) -> FloatArray:
        r"""Return for each link how probably a walk leaves its source over it, shape (m,).

        .. math:: w_{ji} / \sum_k w_{jk}

        Returns
        -------
        ndarray of float64, shape (m,)
            In [0, 1]; the sum over the links of a source is 1.
        """
        top, total = _scales(self)
        return np.asarray(self.weight / top / total)


def decayed_weights(weight: ArrayLike, age_s: ArrayLike, curve: Curve) -> FloatArray:
    r"""Return the weights of links of some age, :math:`w R(t)`.

    Parameters
    ----------
    weight : array_like, shape (\*batch,)
        Weights when the links were last set, finite and >= 0.
    age_s : array_like, broadcast with it
        Time since then :math:`t`, seconds, >= 0; may be infinite.
    curve : Curve
        One of `soma.math.decay`.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        At most ``weight``; ``weight`` at age 0, for a curve that starts at 1.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Laws: ``property_tests/math/test_spreading.py``.

    Examples
    --------
    >>> from soma.math.decay import Exponential
    >>> decayed_weights([1.0, 3.0], [0.0, 60.0], Exponential(half_life_s=60.0)).tolist()
    [1.0, 1.5]
    """
    if isinstance(curve, type) or not isinstance(curve, Curve):
        raise InvalidParameterError("curve", curve, "must be a forgetting curve of soma.math.decay")
    weights, ages = _weights(weight), non_negative("age_s", age_s)
    try:
        np.broadcast_shapes(weights.shape, ages.shape)
    except ValueError:
        raise InvalidParameterError("age_s", ages.shape, f"must broadcast with weights of {weights.shape}") from None
    return np.asarray(weights * curve.value(ages))


def association_strengths(
    links: Links, max_strength: float, *, min_strength: float = -math.inf, fan: Fan = "facts"
) -> FloatArray:
    r"""Return how strongly the source of each link brings its target to mind.

    .. math:: S_{ji} = S_{max} - \ln \mathrm{fan}_j

    Parameters
    ----------
    links : Links
        From concepts or memories j to what they are associated with, i.
    max_strength : float
        Strength :math:`S_{max}` of the only link of a node, in log-odds, finite.
    min_strength : float
        The least strength. The formula is negative where the fan is above :math:`e^{S_{max}}`: such a link inhibits. 0
        forbids it; -infinity leaves the formula alone.
    fan : {"facts", "facts_and_self", "weights"}
        What the fan is. ``"facts"``: the number of nodes that j leads to, as published. ``"facts_and_self"``: one more,
        for j itself, as ACT-R 6 and its kin count. ``"weights"``: :math:`\sum_k w_{jk} / w_{ji}`, so that S is
        :math:`S_{max} + \ln P(i|j)` for a walk by weights; the other two do not look at them.

    Returns
    -------
    ndarray of float64, shape (m,)
        For each of ``links``, in their order.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: Anderson and Reder 1999. Laws: ``property_tests/math/test_spreading.py``.

    Examples
    --------
    >>> association_strengths(Links.of([0, 0, 3], [1, 2, 2], n_nodes=4), 2.0).round(4).tolist()
    [1.3069, 1.3069, 2.0]
    """
    _check(links)
    most = finite("max_strength", max_strength)
    if most.ndim != 0:
        raise InvalidParameterError("max_strength", max_strength, "must be one number")
    least = np.asarray(min_strength)
    if least.dtype.kind not in "fiu" or least.ndim != 0 or not least < np.inf:
        raise InvalidParameterError("min_strength", min_strength, "must be one number below infinity")
    if fan == "weights":
        top, total = _scales(links)
        log_fan = np.log(total) + np.log(top) - np.log(links.weight)
    elif fan in ("facts", "facts_and_self"):
        n_facts = np.bincount(links.source, minlength=links.n_nodes)[links.source]
        log_fan = np.log(n_facts + (fan == "facts_and_self"))
    else:
        raise InvalidParameterError("fan", fan, "must be facts, facts_and_self or weights")
    return np.asarray(np.maximum(most - log_fan, least.astype(np.float64)))


def spreading_activation(
    base_level: ArrayLike,
    links: Links,
    strengths: ArrayLike,
    sources: ArrayLike,
    attention: ArrayLike | None = None,
) -> FloatArray:
    r"""Return the activation of each node, while others are attended to.

    .. math:: A_i = B_i + \sum_j W_j S_{ji}

    It spreads over one link, not further.

    Parameters
    ----------
    base_level : array_like, broadcastable to (n_nodes,)
        Base level :math:`B_i` in log-odds, such as `soma.math.activation.base_level` gives; may be -infinity.
    links : Links
        Over which it spreads.
    strengths : array_like, broadcastable to (m,)
        Strength :math:`S_{ji}` of each link, finite: those of `association_strengths`.
    sources : array_like of int, shape (s,)
        The nodes j that are attended to; one that is named twice counts twice.
    attention : array_like, shape (s,), optional
        Weight :math:`W_j` of each, finite and >= 0; by default an even share of 1.

    Returns
    -------
    ndarray of float64, shape (n_nodes,)
        The base level where no link leads from a source.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: Anderson and Reder 1999. Laws: ``property_tests/math/test_spreading.py``.

    Examples
    --------
    >>> links = Links.of([0, 0, 1], [2, 3, 3], n_nodes=4)
    >>> strengths = association_strengths(links, 2.0)
    >>> spreading_activation(-1.0, links, strengths, [0, 1]).round(4).tolist()
    [-1.0, -1.0, -0.3466, 0.6534]
    """
    _check(links)
    base = np.asarray(base_level)
    if base.dtype.kind not in "fiu" or not (base < np.inf).all():
        raise InvalidParameterError("base_level", base_level, "must be numbers below infinity")
    levels = _broadcast("base_level", base.astype(np.float64), (links.n_nodes,))
    each = _broadcast("strengths", finite("strengths", strengths), links.source.shape)
    nodes = _nodes("sources", sources, links.n_nodes)
    if attention is None:
        shares = np.full(nodes.shape, 1.0 / max(1, len(nodes)))
    else:
        shares = finite("attention", attention)
        if shares.shape != nodes.shape or (shares < 0.0).any():
            raise InvalidParameterError("attention", attention, f"must be >= 0, one for each of {len(nodes)} sources")
    attended = np.bincount(nodes, weights=shares, minlength=links.n_nodes)
    return levels + np.bincount(links.target, weights=attended[links.source] * each, minlength=links.n_nodes)


def personalised_pagerank(
    links: Links,
    restart: ArrayLike,
    *,
    damping: float = 0.5,
    dangling: ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_rounds: int = 1000,
) -> FloatArray:
    r"""Return how often a walk over links is at each node, if it starts again and again.

    .. math:: x = d \left(M x + e \sum_{j\ \mathrm{dangling}} x_j\right) + (1 - d)\, p, \quad
              M_{ij} = \frac{w_{ji}}{\sum_k w_{jk}}

    Parameters
    ----------
    links : Links
        Over which it walks.
    restart : array_like, shape (n_nodes,)
        Where it starts :math:`p`, in any unit: finite, >= 0, not all 0.
    damping : float
        Probability :math:`d` of going on, in [0, 1).
    dangling : array_like, shape (n_nodes,), optional
        Where it goes from a node without links :math:`e`, as ``restart``; to the restart by default.
    tolerance : float
        Most error, summed over the nodes, > 0. Rounding does not let it below about :math:`10^{-16} / (1 - d)^2`.
    max_rounds : int
        Most rounds of the power iteration, >= 1. About :math:`\ln(\mathrm{tolerance}\,(1 - d)) / \ln d` are needed.

    Returns
    -------
    ndarray of float64, shape (n_nodes,)
        A distribution: in [0, 1], with sum 1; 0 where no walk leads.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside. Naming ``max_rounds``, if the tolerance is not reached in them.

    Notes
    -----
    Each round brings the error down by the factor d, so that the last step bounds it. Linear in the restart for a given
    ``dangling``; without one, linear but for the scale. Source: Page et al. 1999; damping as in HippoRAG 2024. Laws:
    ``property_tests/math/test_spreading.py``.

    Examples
    --------
    >>> links = Links.of([0, 1], [1, 2], n_nodes=4)
    >>> personalised_pagerank(links, [1, 0, 0, 0]).round(4).tolist()
    [0.5714, 0.2857, 0.1429, 0.0]
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 - `import soma` loads NumPy alone

    _check(links)
    p = _distribution("restart", restart, links.n_nodes)
    e = p if dangling is None else _distribution("dangling", dangling, links.n_nodes)
    d, most = unit_interval_scalar("damping", damping), positive_scalar("tolerance", tolerance)
    if d == 1.0:
        raise InvalidParameterError("damping", damping, "must be below 1")
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise InvalidParameterError("max_rounds", max_rounds, "must be an integer >= 1")
    walk = csr_array((links.probability(), (links.target, links.source)), shape=(links.n_nodes, links.n_nodes))
    is_dangling = np.bincount(links.source, minlength=links.n_nodes) == 0
    x, error = p, math.inf
    for _ in range(max_rounds):
        following = d * (walk @ x + x[is_dangling].sum() * e) + (1.0 - d) * p
        error = d / (1.0 - d) * float(np.abs(following - x).sum())
        x = following
        if error <= most:
            return np.asarray(x)
    raise InvalidParameterError(
        "max_rounds",
        max_rounds,
        f"must be more, or tolerance larger: the error may still be {error:.3g}, above {most:.3g}",
    )


def _scales(links: Links) -> tuple[FloatArray, FloatArray]:
    """Return for each link the largest weight that leaves its source, and the sum of all of them in its unit."""
    top = np.zeros(links.n_nodes)
    np.maximum.at(top, links.source, links.weight)
    largest = top[links.source]
    total = np.bincount(links.source, weights=links.weight / largest, minlength=links.n_nodes)
    return largest, np.asarray(total[links.source], dtype=np.float64)


def _check(links: Links) -> None:
    if not isinstance(links, Links):
        raise InvalidParameterError("links", links, "must be Links")


def _nodes(parameter: str, value: ArrayLike, n_nodes: int) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:  # of ragged lists
        array = np.empty((), dtype=object)
    if array.ndim == 1 and array.size == 0:
        return np.zeros(0, dtype=np.intp)
    if array.dtype.kind not in "iu" or array.ndim != 1 or (array < 0).any() or (array >= n_nodes).any():
        raise InvalidParameterError(parameter, value, f"must be one axis of integers from 0 to {n_nodes - 1}")
    return array.astype(np.intp)


def _weights(weight: ArrayLike) -> FloatArray:
    weights = finite("weight", weight)
    if (weights < 0.0).any():
        raise InvalidParameterError("weight", weight, "must be >= 0")
    return weights


def _broadcast(parameter: str, array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise InvalidParameterError(parameter, array.shape, f"must broadcast to the shape {shape}") from None


def _distribution(parameter: str, value: ArrayLike, n_nodes: int) -> FloatArray:
    array = finite(parameter, value)
    if array.shape != (n_nodes,) or (array < 0.0).any() or not (array > 0.0).any():
        raise InvalidParameterError(parameter, value, f"must be {n_nodes} numbers >= 0, not all 0")
    scaled = array / array.max()
    return np.asarray(scaled / scaled.sum())
