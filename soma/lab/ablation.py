"""What each part of a policy is worth: the same policy without it."""

from __future__ import annotations

from collections.abc import Sequence

from soma.errors import InvalidParameterError
from soma.math.policy import Policy
from soma.math.policy_operations import Binary

__all__ = ["summands", "without_each"]


def summands(policy: Policy) -> tuple[tuple[int, Policy], ...]:
    """Return the terms of a sum in their order, each with its sign; of any other policy, itself alone.

    Parameters
    ----------
    policy : Policy
        Any.

    Returns
    -------
    tuple of (int, Policy)
        Signs are 1 or -1.

    Notes
    -----
    Laws: ``property_tests/lab/test_ablation.py``.

    Examples
    --------
    >>> from soma import policy as p
    >>> [(sign, str(term)) for sign, term in summands(p.similarity() - (p.lexical() - 0.1 * p.importance()))]
    [(1, 'similarity()'), (-1, 'lexical()'), (1, '0.1 * importance()')]
    """
    if isinstance(policy, Binary) and policy.operator in ("+", "-"):
        sign = 1 if policy.operator == "+" else -1
        return (*summands(policy.left), *((sign * own, term) for own, term in summands(policy.right)))
    return ((1, policy),)


def without_each(policy: Policy) -> dict[str, Policy]:
    """Return for each term of a sum the sum of the others, by the term as it is printed.

    Parameters
    ----------
    policy : Policy
        A sum of at least two terms.

    Returns
    -------
    dict of str to Policy
        In the order of the terms.

    Raises
    ------
    InvalidParameterError
        For a policy that is no sum, or one that has a term twice.

    Notes
    -----
    Laws: ``property_tests/lab/test_ablation.py``.

    Examples
    --------
    >>> from soma import policy as p
    >>> for term, rest in without_each(p.similarity() + p.lexical() - p.mentions("speaker")).items():
    ...     print(f"{term:>22}   {rest}")
              similarity()   lexical() - mentions("speaker")
                 lexical()   similarity() - mentions("speaker")
       mentions("speaker")   similarity() + lexical()
    """
    terms = summands(policy)
    if len(terms) < 2 or len({str(term) for _, term in terms}) != len(terms):
        raise InvalidParameterError("policy", str(policy), "must be a sum of two terms or more, none of them twice")
    return {str(term): _sum([*terms[:place], *terms[place + 1 :]]) for place, (_, term) in enumerate(terms)}


def _sum(terms: Sequence[tuple[int, Policy]]) -> Policy:
    (sign, first), *others = terms
    found = first if sign > 0 else -first
    for sign, term in others:
        found = found + term if sign > 0 else found - term
    return found
