"""The builders of pointwise policies: what `soma.math.policy` offers for one memory at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from soma.math import decay as curves
from soma.math.policy_expression import Operand, Policy
from soma.math.policy_operations import Constant, lift
from soma.math.policy_terms import BestMatch, Decay, Direction, Graph, MemoryTypeIs, Mentions, SameCell, Term

__all__ = [
    "activation",
    "age_s",
    "asks",
    "bm25",
    "clip",
    "constant",
    "decay",
    "exp",
    "graph",
    "idle_s",
    "importance",
    "lexical",
    "log",
    "max",
    "memory_type",
    "mentions",
    "min",
    "n_recalls",
    "n_words",
    "same_cell",
    "similarity",
    "trace",
    "when",
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


def n_recalls() -> Policy:
    """Return the term for how often the memory was recalled, >= 0.

    Examples
    --------
    >>> n_recalls().evaluate({"n_recalls": [3]}).tolist()
    [3.0]
    """
    return Term("n_recalls")


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


def bm25(*, k1: float = 0.9, b: float = 0.4, ratio: float = 0.0, reach: int = 0, group: str | None = None) -> Policy:
    r"""Return the term for BM25: how well the memory's words answer the query's, rare words counting most.

    Words lose case, punctuation and endings, and stop words are left out (`soma.state.words.stems`). What is rare and
    what is long is said of the candidates of the recall: all live memories that its filters admit.

    With a ``ratio`` a memory also has the words of its neighbours in the order of time, each place further away
    counting less, before repeated words stop counting:

    .. math:: f'_i = \sum_{|p_j - p_i| \le R} r^{|p_j - p_i|} f_j

    and its length likewise. How many memories have a word, which makes it common or rare, is counted without that.

    Parameters
    ----------
    k1 : float, default 0.9
        How late a repeated word stops counting, >= 0.
    b : float, default 0.4
        How much a text's length is held against it, in [0, 1].
    ratio : float, default 0
        How much the words of a neighbour count for each place that it is away :math:`r`, in [0, 1].
    reach : int, default 0
        How many places away they count :math:`R`, at most 64; >= 1 with a ratio.
    group : str, optional
        With a ratio: the path in the payload whose value neighbours share, as in `neighbours`.

    Returns
    -------
    Policy
        >= 0, without an upper end; 0 for a memory that has none of the words. See `soma.math.bm25`.

    Raises
    ------
    InvalidParameterError
        For a constant outside its domain.

    Examples
    --------
    >>> bm25().evaluate({"bm25": [2.5]}).tolist()
    [2.5]
    >>> sorted(bm25(b=0.75).features)
    ['bm25(b=0.75)']
    """
    return BestMatch(k1, b, ratio, reach, group)


def n_words() -> Policy:
    """Return the term for how many different words the memory's text has, stop words left out, >= 0.

    Examples
    --------
    >>> log(1 + n_words()).evaluate({"n_words": [0.0]}).tolist()
    [0.0]
    """
    return Term("n_words")


def asks() -> Policy:
    """Return 1 where the memory's text asks something: where a line of it ends in a question mark; else 0.

    Examples
    --------
    >>> asks().evaluate({"asks": [0.0, 1.0]}).tolist()
    [0.0, 1.0]
    """
    return Term("asks")


def mentions(field: str) -> Policy:
    """Return the share of the words of one field of the payload that the query has: who or what it names.

    Parameters
    ----------
    field : str
        The path of the field in the payload, dotted: ``"speaker"``, ``"author.name"``.

    Returns
    -------
    Policy
        In [0, 1]; of a list, for the item that the query names best; 0 where there is no text.

    Raises
    ------
    InvalidParameterError
        For a path outside its domain.

    Examples
    --------
    >>> mentions("speaker").evaluate({"mentions.speaker": [1.0, 0.5]}).tolist()
    [1.0, 0.5]
    """
    return Mentions(field)


def when() -> Policy:
    """Return the term for the time that the query names: 1 within it, and less the further away.

    A query such as "last May" names an interval (`soma.state.times`). At a distance of d from one of length L the term
    is 1 / (1 + d/L). For a query that names no time it is 1 for all memories: nothing speaks against any.

    Returns
    -------
    Policy
        In (0, 1].

    Examples
    --------
    >>> when().evaluate({"when": [1.0, 0.5]}).tolist()
    [1.0, 0.5]
    """
    return Term("when")


def graph(*, damping: float = 0.5, direction: Direction = "both", curve: curves.Curve | None = None) -> Policy:
    r"""Return the term for what is in mind: the share of an attention that reaches the memory over links.

    .. math:: x = (1 - d)\, p + d\, M x

    The query says where attention starts (``Query(focus=...)``). It walks the links between live memories, from each by
    their weights, and starts again with probability 1 - d at each step, and wherever no link leads on.

    Parameters
    ----------
    damping : float
        How much of it goes on at each link :math:`d`, 0 to 0.95. With 0 only what is in focus has any.
    direction : {"out", "in", "both"}
        Which way links are followed.
    curve : Curve, optional
        One of `soma.math.decay`: how links fade with the time since they were set; by default they do not.

    Returns
    -------
    Policy
        In [0, 1]: over all memories of the namespace the sum is at most 1. 0 where no link leads.

    Raises
    ------
    InvalidParameterError
        For a constant outside its domain.

    Notes
    -----
    Personalised PageRank, `soma.math.spreading.personalised_pagerank`, as HippoRAG uses it over entities. Laws:
    ``property_tests/state/test_attention.py``.

    Examples
    --------
    >>> graph().evaluate({"graph": [0.1]}).tolist()
    [0.1]
    >>> similarity() + graph(direction="out", curve=curves.Exponential(half_life_s=86_400))
    similarity() + graph(direction="out", curve=Exponential(half_life_s=86400.0))
    """
    return Graph(damping, direction, curve)


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
