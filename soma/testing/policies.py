"""Hypothesis strategies for policies and for the features that they read.

Every drawn policy has a finite value on every drawn table of features: exponentials, logarithms, quotients
and powers have their arguments held inside their domain, as a careful author would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.math import decay
from soma.math import policy as p

__all__ = ["columns", "curves", "policies", "set_nodes", "set_policies", "values"]

_RANGES: Final = {
    "similarity": (-1.0, 1.0),
    "importance": (0.0, 1.0),
    "age_s": (0.0, 1e9),
    "idle_s": (0.0, 1e9),
    "n_recalls": (0.0, 1e3),
    "activation": (-20.0, 20.0),
    "trace": (0.0, 1e3),
    "lexical": (0.0, 1.0),
    "when": (0.0, 1.0),
    "n_words": (0.0, 1e3),
    "asks": (0.0, 1.0),
}


def curves() -> st.SearchStrategy[decay.Curve]:
    """Forgetting curves of every family, at scales from seconds to years."""
    scale, exponent, share = st.floats(1.0, 1e8), st.floats(0.01, 5.0), st.floats(0.01, 0.99)
    return st.one_of(
        st.just(decay.Constant()),
        st.builds(decay.Exponential, scale),
        st.builds(decay.Power, scale, exponent),
        st.builds(decay.Wickelgren, share, st.floats(1e-8, 1.0), exponent),
        st.builds(decay.StretchedExponential, scale, share),
        st.builds(decay.Ebbinghaus, exponent, exponent),
        st.builds(decay.ExponentialMidpoint, scale, share),
        st.builds(decay.GaussianMidpoint, scale, share),
        st.builds(decay.LinearMidpoint, scale, share),
    )


def policies(features: Iterable[str] | None = None, *, max_leaves: int = 8) -> st.SearchStrategy[p.Policy]:
    """Policies with a finite value everywhere.

    Parameters
    ----------
    features : iterable of str, optional
        What they may read; by default everything that there is.
    max_leaves : int
        How many leaves at most.
    """
    everything = {*_RANGES, "bm25", "common_level", "graph", "memory_type", "mentions.by.name"}
    allowed = everything if features is None else set(features)
    leaves: list[st.SearchStrategy[p.Policy]] = [st.builds(p.constant, _numbers())]
    terms = [p.Term(name) for name in _RANGES if name in allowed]
    if terms:
        leaves += [st.sampled_from(terms)] * 3  # or else indicators and curves would be most of what is drawn
    ages = [age for age in (p.age_s, p.idle_s) if age().features <= allowed]
    if ages:
        leaves.append(st.builds(p.decay, curves(), of=st.sampled_from(ages)))
    if "common_level" in allowed:
        leaves.append(st.builds(p.same_cell, st.integers(0, 10)))
    if "bm25" in allowed:
        leaves.append(st.sampled_from([p.bm25(), p.bm25(k1=1.2, ratio=0.5, reach=2, group='a "b", c=(1)')]))
    if "graph" in allowed:
        leaves.append(st.builds(p.graph, damping=st.floats(0.0, 0.95), direction=st.sampled_from(["both", "out"])))
        leaves.append(st.builds(p.graph, curve=curves()))
    if "mentions.by.name" in allowed:
        leaves.append(st.just(p.mentions("by.name")))
    if "memory_type" in allowed:
        leaves.append(st.builds(p.memory_type, st.sampled_from(p.MEMORY_TYPES)))
    return st.recursive(st.one_of(leaves), _combined, max_leaves=max_leaves)


def set_policies(x: st.SearchStrategy[p.Policy] | None = None) -> st.SearchStrategy[p.Policy]:
    """Set-level policies with a finite value everywhere: their nodes in arithmetic with pointwise terms, and nested.

    Parameters
    ----------
    x : strategy, optional
        The innermost operands; by default small pointwise policies.
    """
    operands = policies(max_leaves=2) if x is None else x
    return st.builds(_mixed, set_nodes(set_nodes(operands) | operands), operands, st.integers(0, 4))


def set_nodes(x: st.SearchStrategy[p.Policy]) -> st.SearchStrategy[p.Policy]:
    """One node that scores a candidate set, of every kind.

    Parameters
    ----------
    x : strategy
        The operand.
    """
    scales = st.lists(st.floats(1.0, 1e9), min_size=1, max_size=3, unique=True).map(sorted)
    groups = st.sampled_from(["sitting", "a {b}_$%"])
    return st.one_of(
        st.builds(p.minmax, x),
        st.builds(p.rank, x),
        st.builds(lambda x, k: p.rrf(x, k=k), x, st.sampled_from([0.0, 60.0]) | st.floats(0.0, 1e3)),
        st.builds(p.context, x, scales, st.none() | groups),
        st.builds(p.neighbours, x, st.none() | groups, ratio=st.floats(0.01, 1.0), reach=st.integers(1, 9)),
        st.builds(p.previous, x, st.none() | groups),
        st.builds(p.top_mean, x, groups, st.integers(1, 4)),
    )


def values(feature: str) -> st.SearchStrategy[Any]:
    """Draw one value of a feature.

    Parameters
    ----------
    feature : str
        Its name, as ``policy.features`` has it; not ``id`` or ``place.``, whose values must differ.
    """
    if feature == "memory_type":
        return st.sampled_from(p.MEMORY_TYPES)
    if feature == "common_level":
        return st.integers(0, 10)
    if feature.startswith("payload."):
        return st.sampled_from(["", "a", "b"])
    if feature.startswith("bm25"):
        return st.floats(0.0, 30.0)
    if feature.startswith("graph"):
        return st.floats(-5.0, 5.0)
    if feature.startswith("mentions."):
        return st.sampled_from([0.0, 0.5, 1.0])
    return st.floats(*_RANGES[feature])


@st.composite
def columns(
    draw: st.DrawFn, features: Iterable[str], *, min_rows: int = 1, max_rows: int = 12
) -> dict[str, NDArray[Any]]:
    """Tables of the named features, with the same number of rows in each column.

    Parameters
    ----------
    draw : callable
        Given by Hypothesis.
    features : iterable of str
        Names, as in ``policy.features``.
    min_rows, max_rows : int
        How many rows.
    """
    n = draw(st.integers(min_rows, max_rows))
    table: dict[str, NDArray[Any]] = {}
    for name in sorted(features):
        if name == "id" or name.startswith("place."):
            table[name] = np.array(draw(st.permutations(range(n))), dtype=np.int64)
            continue
        drawn = draw(st.lists(values(name), min_size=n, max_size=n))
        table[name] = np.array(drawn, dtype=np.str_) if name.startswith("payload.") else np.array(drawn)
    return table


def _numbers() -> st.SearchStrategy[float]:
    return st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0]) | st.floats(-5.0, 5.0)


def _combined(inner: st.SearchStrategy[p.Policy]) -> st.SearchStrategy[p.Policy]:
    ends = st.tuples(_numbers(), _numbers()).map(sorted)
    exponents = st.sampled_from([0.0, 0.5, 1.0, 2.0]) | st.floats(0.0, 3.0)
    return st.one_of(
        st.builds(lambda x, y: x + y, inner, inner),
        st.builds(lambda x, y: x - y, inner, inner),
        st.builds(lambda x, y: x * y, inner, inner),
        st.builds(lambda x, y: x / y.clip(0.1), inner, inner),
        st.builds(lambda x, e: x.clip(0.0, 1e3) ** e, inner, exponents),
        st.builds(lambda x, n: x.clip(-10.0, 10.0) ** n, inner, st.integers(0, 3)),
        st.builds(lambda x, n: x.clip(0.1, 10.0) ** -n, inner, st.integers(1, 3)),
        st.builds(lambda x, y: x.clip(0.1, 1e3) ** y.clip(-2.0, 2.0), inner, inner),
        st.builds(lambda x: -x, inner),
        st.builds(p.max, inner, inner),
        st.builds(p.min, inner, inner),
        st.builds(lambda x: p.exp(x.clip(-20.0, 5.0)), inner),
        st.builds(lambda x: p.log(x.clip(1e-3)), inner),
        st.builds(lambda x, e: x.clip(*e), inner, ends),
        st.builds(lambda x, upper: x.clip(upper=upper), inner, _numbers()),
        st.builds(lambda number, x: number * x, _numbers(), inner),
    )


def _mixed(node: p.Policy, x: p.Policy, form: int) -> p.Policy:
    forms = (node, node + x, x * node, p.max(node, x), p.exp(node.clip(-20.0, 5.0)))
    return forms[form]
