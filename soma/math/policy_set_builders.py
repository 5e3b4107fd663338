"""The builders of the set-level stage: what `soma.math.policy` offers over a candidate set.

What the candidate set is, `soma.math.policy_set` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from soma.math.policy_expression import Operand, Policy
from soma.math.policy_operations import lift
from soma.math.policy_places import Neighbours, Previous
from soma.math.policy_set import Context, MinMax, Rank, ReciprocalRank, TopMean

__all__ = ["context", "minmax", "neighbours", "previous", "rank", "rrf", "top_mean"]


def minmax(x: Operand) -> Policy:
    r"""Return ``x`` on the range of the candidates: 0 for the least, 1 for the greatest.

    .. math:: \frac{x_i - \min_j x_j}{\max_j x_j - \min_j x_j}

    Parameters
    ----------
    x : Policy or float
        The operand.

    Returns
    -------
    Policy
        In [0, 1]; 0.5 everywhere if all candidates have the same value.

    Notes
    -----
    One outlier moves everybody, and the scores of two recalls cannot be compared.

    Laws: ``property_tests/math/test_policy_set.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> minmax(p.age_s()).evaluate({"age_s": [60.0, 0.0, 240.0]}).tolist()
    [0.25, 0.0, 1.0]
    """
    return MinMax(lift(x))


def rank(x: Operand) -> Policy:
    """Return the place of each candidate by falling ``x``, from 0 for the greatest; ties go to the smaller id.

    Parameters
    ----------
    x : Policy or float
        The operand.

    Returns
    -------
    Policy
        A permutation of 0 to n - 1. It reads the feature ``id``, unique integers, strings or bytes.

    Notes
    -----
    Laws: ``property_tests/math/test_policy_set.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> rank(p.similarity()).evaluate({"similarity": [0.2, 0.9, 0.2], "id": [8, 7, 3]}).tolist()
    [2.0, 0.0, 1.0]
    """
    return Rank(lift(x))


def rrf(x: Operand, *others: Operand, k: float = 60.0) -> Policy:
    r"""Return the reciprocal rank fusion of several orders: high for what is near the top of any of them.

    .. math:: \sum_m \frac{1}{k + 1 + \mathrm{rank}_m}

    with `rank` from 0, so that ranks count from 1 as they were published.

    Parameters
    ----------
    x : Policy or float
        What gives the first order.
    *others : Policy or float
        What gives more of them.
    k : float, default 60
        How little the first places stand out, >= 0.

    Returns
    -------
    Policy
        In (0, m / (k + 1)] for m orders, each over all candidates: none is cut off at a depth.

    Raises
    ------
    InvalidParameterError
        For a ``k`` outside its domain.

    Notes
    -----
    Source: Cormack, Clarke and Buettcher, SIGIR 2009. Laws: ``property_tests/math/test_policy_set.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> fused = rrf(p.similarity(), p.lexical(), k=0)
    >>> fused
    rrf(similarity(), k=0) + rrf(lexical(), k=0)
    >>> fused.evaluate({"similarity": [0.9, 0.8, 0.1], "lexical": [0.5, 1.0, 0.2], "id": [1, 2, 3]}).round(3).tolist()
    [1.5, 1.5, 0.667]
    """
    parts: list[Policy] = [ReciprocalRank(lift(operand), k) for operand in (x, *others)]
    return reduce(Policy.__add__, parts)


def context(x: Operand, scales_s: Iterable[float], group: str | None = None) -> Policy:
    r"""Return ``x`` spread over the neighbours in time, so that a memory counts for its surroundings too.

    .. math:: \frac{1}{L} \sum_{l=1}^{L} \sum_{j \in W_l(i)} \frac{x_j}{|W_l(j)|}, \quad
              W_l(i) = \{j : g_j = g_i,\ |a_j - a_i| \le \tau_l\}

    At each scale every memory shares its value equally among those within reach, itself included. With scales
    :math:`\tau_l` that grow by one factor, a neighbour at distance t gets a share that falls as a power of t does,
    in steps.

    Parameters
    ----------
    x : Policy or float
        The operand.
    scales_s : iterable of float
        The reaches :math:`\tau`, seconds, > 0, rising; at most 32. Geometric ones treat all times alike.
    group : str, optional
        A path in the payload :math:`g`, such as a conversation or a sitting: nothing spreads beyond it, and a memory
        without it has no neighbours. By default all candidates are one group.

    Returns
    -------
    Policy
        Its sum over the candidates is that of ``x``; where nobody else is in reach it is ``x`` itself. It reads
        ``age_s`` :math:`a`, in which all memories of the future are 0.

    Raises
    ------
    InvalidParameterError
        For scales or a group outside their domain.

    Notes
    -----
    Exact, O(L n log n). In a crowd each gets little: add it to ``x`` rather than rank by it alone.

    Laws: ``property_tests/math/test_policy_set.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> columns = {"similarity": [0.9, 0.0, 0.3], "age_s": [0.0, 60.0, 86_400.0]}
    >>> context(p.similarity(), [3_600.0]).evaluate(columns).tolist()
    [0.45, 0.45, 0.3]
    """
    return Context(lift(x), tuple(scales_s), group)


def neighbours(x: Operand, group: str | None = None, *, ratio: float = 0.5, reach: int = 6) -> Policy:
    r"""Return the mean of ``x`` over the neighbours in the order of time, each place further away counting less.

    .. math:: \frac{\sum_{|p_j - p_i| \le R} r^{|p_j - p_i|} x_j}{\sum_{|p_j - p_i| \le R} r^{|p_j - p_i|}}

    with :math:`p` the place of a memory among those of its group, by time, ties by id. What was said just before and
    just after counts the same whether that took a second or an hour: `context` counts seconds.

    Parameters
    ----------
    x : Policy or float
        The operand.
    group : str, optional
        A path in the payload, such as a conversation or a sitting: no neighbour lies beyond it, and a memory without it
        has none. By default all candidates are one group.
    ratio : float, default 0.5
        How much one place further counts :math:`r`, in (0, 1].
    reach : int, default 6
        How many places away a neighbour counts :math:`R`, 1 to 64.

    Returns
    -------
    Policy
        Between the least and the greatest of the neighbours' values. It reads ``place.<group>``.

    Raises
    ------
    InvalidParameterError
        For a group, a ratio or a reach outside its domain.

    Notes
    -----
    Exact, O(n log n + n R). A filter takes its memories out of the order too: places count among the candidates.

    Laws: ``property_tests/math/test_policy_neighbours.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> columns = {"similarity": [0.0, 0.0, 0.7, 0.0], "place.": [1, 2, 3, 4]}
    >>> neighbours(p.similarity(), reach=2).evaluate(columns).round(3).tolist()
    [0.1, 0.156, 0.311, 0.2]
    """
    return Neighbours(lift(x), group, ratio, reach)


def previous(x: Operand, group: str | None = None) -> Policy:
    """Return ``x`` of the memory before, in the order of time: what comes after a question may answer it.

    Parameters
    ----------
    x : Policy or float
        The operand.
    group : str, optional
        As in `neighbours`.

    Returns
    -------
    Policy
        0 for the first of a group. It reads ``place.<group>``.

    Raises
    ------
    InvalidParameterError
        For a group outside its domain.

    Notes
    -----
    Laws: ``property_tests/math/test_policy_neighbours.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> previous(p.asks()).evaluate({"asks": [0.0, 1.0, 0.0], "place.": [1, 2, 3]}).tolist()
    [0.0, 0.0, 1.0]
    """
    return Previous(lift(x), group)


def top_mean(x: Operand, group: str, n: int) -> Policy:
    """Return the mean of the ``n`` best values in the memory's group: what its whole conversation is worth.

    Parameters
    ----------
    x : Policy or float
        The operand.
    group : str
        A path in the payload, dotted; a memory without it is a group of its own.
    n : int
        How many values count, >= 1; of a smaller group, all.

    Returns
    -------
    Policy
        The same for all members of a group, between its least and its greatest value.

    Raises
    ------
    InvalidParameterError
        For a group or an ``n`` outside its domain.

    Notes
    -----
    Laws: ``property_tests/math/test_policy_set.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> columns = {"similarity": [0.9, 0.5, 0.1, 0.6], "payload.sitting": ["a", "a", "a", ""]}
    >>> top_mean(p.similarity(), "sitting", 2).evaluate(columns).tolist()
    [0.7, 0.7, 0.7, 0.6]
    """
    return TopMean(lift(x), group, n)
