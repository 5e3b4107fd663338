"""Policies: how a memory is scored, as an expression that can be read, explained, bounded and saved.

A policy is a value. It is built from terms with ordinary operators, printed as the formula that builds it,
evaluated over arrays of features, and saved as JSON; every engine that scores evaluates the same expression.

>>> from soma.math import decay
>>> from soma.math import policy as p
>>> from soma.math.units import DAY
>>> policy = p.similarity().clip(0) * p.importance() ** 0.5 * p.decay(decay.Exponential(7 * DAY), of=p.age_s)
>>> policy
similarity().clip(0) * importance() ** 0.5 * decay(Exponential(half_life_s=604800.0), of=age_s)
>>> columns = {"similarity": [0.8, 0.8], "importance": [0.25, 1.0], "age_s": [0.0, 14 * DAY]}
>>> policy.evaluate(columns).round(3).tolist()
[0.4, 0.2]
>>> p.from_json(policy.to_json()) == policy
True

Above the pointwise terms stands the set-level stage, which scores a candidate set as a whole: `minmax`, `rank`,
`rrf`, `context`, `neighbours`, `previous` and `top_mean` (`soma.math.policy_set` says what the set is).
`presets` holds published policies.

>>> fused = p.rrf(p.similarity(), p.lexical()) + 0.1 * p.minmax(p.importance())
>>> fused.is_pointwise, sorted(fused.features)
(False, ['id', 'importance', 'lexical', 'similarity'])
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from soma.errors import InvalidParameterError, SerializationError
from soma.math import decay as curves
from soma.math import policy_json, presets
from soma.math.policy_builders import (
    activation,
    age_s,
    asks,
    bm25,
    clip,
    constant,
    decay,
    exp,
    graph,
    idle_s,
    importance,
    lexical,
    log,
    max,  # noqa: A004 - read as p.max
    memory_type,
    mentions,
    min,  # noqa: A004 - read as p.min
    n_recalls,
    n_words,
    same_cell,
    similarity,
    trace,
    when,
)
from soma.math.policy_changes import Difference, differences, with_curve
from soma.math.policy_evaluate import MEMORY_TYPES
from soma.math.policy_explain import Explanation
from soma.math.policy_expression import INDEXED_FEATURES, Policy
from soma.math.policy_json import MAX_DEPTH, NodeForm
from soma.math.policy_operations import BINARY, MAX_NODES, UNARY, Binary, Clip, Constant, Unary
from soma.math.policy_places import Neighbours, Previous
from soma.math.policy_set import Context, MinMax, Rank, ReciprocalRank, SetLevel, TopMean
from soma.math.policy_set_builders import context, minmax, neighbours, previous, rank, rrf, top_mean
from soma.math.policy_terms import TERMS, BestMatch, Decay, Direction, Graph, MemoryTypeIs, Mentions, SameCell, Term
from soma.math.presets import default

__all__ = [
    "INDEXED_FEATURES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MEMORY_TYPES",
    "BestMatch",
    "Binary",
    "Clip",
    "Constant",
    "Context",
    "Decay",
    "Difference",
    "Explanation",
    "Graph",
    "MemoryTypeIs",
    "Mentions",
    "MinMax",
    "Neighbours",
    "Policy",
    "Previous",
    "Rank",
    "ReciprocalRank",
    "SameCell",
    "SetLevel",
    "Term",
    "TopMean",
    "Unary",
    "activation",
    "age_s",
    "asks",
    "bm25",
    "clip",
    "constant",
    "context",
    "decay",
    "default",
    "differences",
    "exp",
    "from_dict",
    "from_json",
    "graph",
    "idle_s",
    "importance",
    "lexical",
    "log",
    "max",
    "memory_type",
    "mentions",
    "min",
    "minmax",
    "n_recalls",
    "n_words",
    "neighbours",
    "or_default",
    "presets",
    "previous",
    "rank",
    "rrf",
    "same_cell",
    "similarity",
    "top_mean",
    "trace",
    "when",
    "with_curve",
]


def or_default(policy: Policy | None, *, has_words: bool = True) -> Policy:
    """Return the policy given; for None `default`, or `presets.dense` where there is no query in words.

    Parameters
    ----------
    policy : Policy or None
        What a caller chose.
    has_words : bool, default True
        Whether there is a query with a text.

    Raises
    ------
    InvalidParameterError
        For anything but a policy.

    Examples
    --------
    >>> or_default(None) == default(), or_default(None, has_words=False) == presets.dense()
    (True, True)
    """
    if policy is None:
        return default() if has_words else presets.dense()
    if not isinstance(policy, Policy):
        raise InvalidParameterError(
            "policy", policy, "must be a Policy: build one from soma.policy, or read it with from_json"
        )
    return policy


def from_dict(document: Mapping[str, Any]) -> Policy:
    """Return the policy that `Policy.to_dict` wrote.

    Parameters
    ----------
    document : mapping
        JSON values.

    Returns
    -------
    Policy
        Equal to the one written.

    Raises
    ------
    SerializationError
        For an unknown version, node or field, a value outside its domain, a policy too deep or too large, or
        a ``sha256`` that is not that of the content; the field may be absent.

    Examples
    --------
    >>> from_dict(similarity().to_dict())
    similarity()
    """
    policy: Policy = policy_json.read(document, _FORMS)
    if "sha256" in document and document["sha256"] != policy.content_hash:
        raise SerializationError(
            f"the policy's sha256 is {document['sha256']!r:.80}, but its content has {policy.content_hash}"
        )
    return policy


def from_json(text: str | bytes) -> Policy:
    """Return the policy that `Policy.to_json` wrote; refuses what `from_dict` refuses.

    Parameters
    ----------
    text : str or bytes
        One JSON object.

    Returns
    -------
    Policy
        Equal to the one written.

    Examples
    --------
    >>> from_json(default().to_json()) == default()
    True
    """
    return from_dict(policy_json.parse(text))  # type: ignore[arg-type]


def _decay_of_document(of: Policy, curve: object) -> Policy:
    return Decay(curves.from_dict(curve), of)  # type: ignore[arg-type]


def _graph_of_document(damping: float, direction: Direction, curve: object) -> Policy:
    return Graph(damping, direction, None if curve is None else curves.from_dict(curve))  # type: ignore[arg-type]


_FORMS: Final = {
    **{name: NodeForm(partial(Term, name)) for name in TERMS},
    **{name: NodeForm(partial(Unary, name), nodes=("of",)) for name in UNARY},
    **{symbol: NodeForm(partial(Binary, symbol), nodes=("left", "right")) for symbol in BINARY},
    "constant": NodeForm(Constant, values=("value",)),
    "bm25": NodeForm(BestMatch, values=("k1", "b", "ratio", "reach", "group")),
    "graph": NodeForm(_graph_of_document, values=("damping", "direction", "curve")),
    "mentions": NodeForm(Mentions, values=("field",)),
    "same_cell": NodeForm(SameCell, values=("level",)),
    "memory_type": NodeForm(MemoryTypeIs, values=("is_type",)),
    "clip": NodeForm(Clip, nodes=("of",), values=("lower", "upper")),
    "decay": NodeForm(_decay_of_document, nodes=("of",), values=("curve",)),
    "minmax": NodeForm(MinMax, nodes=("of",)),
    "rank": NodeForm(Rank, nodes=("of",)),
    "rrf": NodeForm(ReciprocalRank, nodes=("of",), values=("k",)),
    "context": NodeForm(Context, nodes=("of",), values=("scales_s", "group")),
    "neighbours": NodeForm(Neighbours, nodes=("of",), values=("group", "ratio", "reach")),
    "previous": NodeForm(Previous, nodes=("of",), values=("group",)),
    "top_mean": NodeForm(TopMean, nodes=("of",), values=("group", "n")),
}
