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
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, Final

from soma.errors import InvalidParameterError, SerializationError
from soma.math import decay as curves
from soma.math import policy_json
from soma.math.policy_evaluate import MEMORY_TYPES
from soma.math.policy_explain import Explanation
from soma.math.policy_expression import INDEXED_FEATURES, Operand, Policy
from soma.math.policy_json import MAX_DEPTH, NodeForm
from soma.math.policy_operations import BINARY, MAX_NODES, UNARY, Binary, Clip, Constant, Unary, lift
from soma.math.policy_terms import TERMS, Decay, MemoryTypeIs, SameCell, Term
from soma.math.units import DAY

__all__ = [
    "INDEXED_FEATURES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MEMORY_TYPES",
    "Binary",
    "Clip",
    "Constant",
    "Decay",
    "Explanation",
    "MemoryTypeIs",
    "Policy",
    "SameCell",
    "Term",
    "Unary",
    "activation",
    "age_s",
    "clip",
    "constant",
    "decay",
    "default",
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
    "min",
    "or_default",
    "same_cell",
    "similarity",
    "trace",
]


def similarity() -> Policy:
    """Return the term for nearness to the query: a cosine in [-1, 1], or 1 / (1 + distance).

    Examples
    --------
    >>> similarity().evaluate({"similarity": [0.8]}).tolist()
    [0.8]
    """
    return Term("similarity")


def importance() -> Policy:
    """Return the term for importance, normalised to [0, 1].

    Examples
    --------
    >>> importance().evaluate({"importance": [0.25]}).tolist()
    [0.25]
    """
    return Term("importance")


def age_s() -> Policy:
    """Return the term for the time since the memory was made, seconds, >= 0.

    Examples
    --------
    >>> age_s().evaluate({"age_s": [60.0]}).tolist()
    [60.0]
    """
    return Term("age_s")


def idle_s() -> Policy:
    """Return the term for the time since the memory was last recalled, or made, seconds, >= 0.

    Examples
    --------
    >>> idle_s().evaluate({"idle_s": [60.0]}).tolist()
    [60.0]
    """
    return Term("idle_s")


def activation() -> Policy:
    """Return the term for the base-level activation of the memory's accesses, in log-odds.

    Examples
    --------
    >>> activation().evaluate({"activation": [-1.5]}).tolist()
    [-1.5]
    """
    return Term("activation")


def trace() -> Policy:
    """Return the term for the memory's trace: the decayed sum over its accesses, >= 0.

    Examples
    --------
    >>> trace().evaluate({"trace": [0.3]}).tolist()
    [0.3]
    """
    return Term("trace")


def lexical() -> Policy:
    """Return the term for the overlap of the memory's words with the query's, in [0, 1].

    Examples
    --------
    >>> lexical().evaluate({"lexical": [0.5]}).tolist()
    [0.5]
    """
    return Term("lexical")


def graph() -> Policy:
    """Return the term for the activation that reaches the memory over its links.

    Examples
    --------
    >>> graph().evaluate({"graph": [0.1]}).tolist()
    [0.1]
    """
    return Term("graph")


def same_cell(level: int) -> Policy:
    """Return 1 where the memory's address shares at least ``level`` levels with the query's, else 0.

    Parameters
    ----------
    level : int
        How many levels must be shared, 0 to 64.

    Returns
    -------
    Policy
        1 or 0.

    Raises
    ------
    InvalidParameterError
        For a level out of range.

    Examples
    --------
    >>> same_cell(3).evaluate({"common_level": [2, 3]}).tolist()
    [0.0, 1.0]
    """
    return SameCell(level)


def memory_type(is_type: str) -> Policy:
    """Return 1 where the memory is ``"episodic"``, or ``"semantic"``, as asked, else 0.

    Parameters
    ----------
    is_type : str
        ``"episodic"`` or ``"semantic"``.

    Returns
    -------
    Policy
        1 or 0.

    Raises
    ------
    InvalidParameterError
        For another type.

    Examples
    --------
    >>> memory_type("semantic").evaluate({"memory_type": ["episodic", "semantic"]}).tolist()
    [0.0, 1.0]
    """
    return MemoryTypeIs(is_type)


def constant(value: float) -> Policy:
    """Return a finite number as a policy; beside another policy, the bare number will do.

    Parameters
    ----------
    value : float
        Finite.

    Returns
    -------
    Policy
        The number, everywhere.

    Raises
    ------
    InvalidParameterError
        For a number that is not finite.

    Examples
    --------
    >>> constant(0.5) + similarity()
    0.5 + similarity()
    """
    return Constant(value)


def exp(x: Operand) -> Policy:
    """Return e to the power of ``x``.

    Parameters
    ----------
    x : Policy or float
        The operand.

    Returns
    -------
    Policy
        > 0.

    Examples
    --------
    >>> exp(similarity()).evaluate({"similarity": [0.0]}).tolist()
    [1.0]
    """
    return lift(x).exp()


def log(x: Operand) -> Policy:
    """Return the natural logarithm of ``x``; where ``x`` may be 0, hold it above: ``log(x.clip(1e-6))``.

    Parameters
    ----------
    x : Policy or float
        The operand.

    Returns
    -------
    Policy
        An error where it is evaluated at 0 or below.

    Examples
    --------
    >>> log(similarity().clip(1e-6)).evaluate({"similarity": [1.0]}).tolist()
    [0.0]
    """
    return lift(x).log()


def max(first: Operand, *others: Operand) -> Policy:  # noqa: A001 - read as p.max
    """Return the largest of the operands.

    Parameters
    ----------
    first : Policy or float
        An operand.
    *others : Policy or float
        More of them.

    Returns
    -------
    Policy
        The largest, row by row.

    Examples
    --------
    >>> max(similarity(), importance()).evaluate({"similarity": [0.2], "importance": [0.7]}).tolist()
    [0.7]
    """
    return reduce(Policy.max, others, lift(first))


def min(first: Operand, *others: Operand) -> Policy:  # noqa: A001 - read as p.min
    """Return the smallest of the operands.

    Parameters
    ----------
    first : Policy or float
        An operand.
    *others : Policy or float
        More of them.

    Returns
    -------
    Policy
        The smallest, row by row.

    Examples
    --------
    >>> min(similarity(), importance()).evaluate({"similarity": [0.2], "importance": [0.7]}).tolist()
    [0.2]
    """
    return reduce(Policy.min, others, lift(first))


def clip(x: Operand, lower: float | None = None, upper: float | None = None) -> Policy:
    """Return ``x``, held between two numbers, of which one may be absent.

    Parameters
    ----------
    x : Policy or float
        The operand.
    lower, upper : float, optional
        The bounds; at least one.

    Returns
    -------
    Policy
        Within the bounds.

    Examples
    --------
    >>> clip(similarity(), 0).evaluate({"similarity": [-0.2, 0.7]}).tolist()
    [0.0, 0.7]
    """
    return lift(x).clip(lower, upper)


def decay(curve: curves.Curve, of: Policy | Callable[[], Policy] = age_s) -> Policy:
    """Return a forgetting curve of an age.

    Parameters
    ----------
    curve : Curve
        One of `soma.math.decay`: never rising, within [0, 1].
    of : Policy or builder function
        `age_s` (the default) or `idle_s`.

    Raises
    ------
    InvalidParameterError
        For anything else.

    Examples
    --------
    >>> fading = decay(curves.Exponential(half_life_s=60.0), of=idle_s)
    >>> fading.evaluate({"idle_s": [0.0, 60.0]}).round(3).tolist()
    [1.0, 0.5]
    """
    return Decay(curve, of if isinstance(of, Policy) or not callable(of) else of())


def default() -> Policy:
    r"""Return soma's default: relevance, half weight for importance, and fading since the last recall.

    .. math:: \max(0, \mathrm{similarity}) (1/2 + \mathrm{importance}/2) (1 + \mathrm{idle}/30 d)^{-1/2}

    A memory opposed to the query scores 0; the least important one scores half of the most important; one
    that has lain idle for 90 days, half of one just recalled. The power law fades slowly: old is not lost.

    Examples
    --------
    >>> default().evaluate({"similarity": [1.0], "importance": [1.0], "idle_s": [90 * DAY]}).tolist()
    [0.5]
    """
    fading = decay(curves.Power(scale_s=30 * DAY, exponent=0.5), of=idle_s)
    return similarity().clip(0) * (0.5 + 0.5 * importance()) * fading


def or_default(policy: Policy | None) -> Policy:
    """Return the policy given, or `default` for None.

    Parameters
    ----------
    policy : Policy or None
        What a caller chose.

    Raises
    ------
    InvalidParameterError
        For anything but a policy.

    Examples
    --------
    >>> or_default(None) == default()
    True
    """
    if policy is None:
        return default()
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
    if not isinstance(curve, Mapping):
        raise SerializationError(f"curve must be an object, got {curve!r:.40}")
    return Decay(curves.from_dict(curve), of)


_FORMS: Final = {
    **{name: NodeForm(partial(Term, name)) for name in TERMS},
    **{name: NodeForm(partial(Unary, name), nodes=("of",)) for name in UNARY},
    **{symbol: NodeForm(partial(Binary, symbol), nodes=("left", "right")) for symbol in BINARY},
    "constant": NodeForm(Constant, values=("value",)),
    "same_cell": NodeForm(SameCell, values=("level",)),
    "memory_type": NodeForm(MemoryTypeIs, values=("is_type",)),
    "clip": NodeForm(Clip, nodes=("of",), values=("lower", "upper")),
    "decay": NodeForm(_decay_of_document, nodes=("of",), values=("curve",)),
}
