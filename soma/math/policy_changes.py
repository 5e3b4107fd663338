"""What tells two policies apart, part by part; and a policy with another forgetting curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, final

from soma.errors import InvalidParameterError
from soma.math.decay_family import Curve, Family
from soma.math.policy_expression import Policy
from soma.math.policy_formula import shown
from soma.math.policy_terms import Decay

__all__ = ["Difference", "differences", "with_curve"]

CHAINS: Final = ("*", "+")
"""Operators whose operands are compared as a bag: the order of factors is not what a reader looks for first."""


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which two policies differ.

    Parameters
    ----------
    where : str
        Which part: ``"decay of idle_s: half_life_s"``.
    before : str or None
        As the first policy has it; None for what only the second has.
    after : str or None
        As the second policy has it; None for what only the first has.
    """

    where: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.where}: + {self.after}"
        if self.after is None:
            return f"{self.where}: - {self.before}"
        return f"{self.where}: {self.before} -> {self.after}"

    def to_dict(self) -> dict[str, str | None]:
        """Return the difference as JSON values."""
        return {"where": self.where, "before": self.before, "after": self.after}


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """Return what tells two policies apart: parameters with both values, terms that come and go.

    Factors of a product, and terms of a sum, are paired by what they are and read, wherever they stand; where only
    their order differs, which may change the last bit of a score, that is the difference.

    Parameters
    ----------
    before, after : Policy
        Two policies.

    Returns
    -------
    tuple of Difference
        Empty exactly if the policies are equal.

    Notes
    -----
    Laws: ``property_tests/math/test_policy_changes.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> for each in differences(p.similarity().clip(0), p.similarity().clip(0.1) * p.importance()):
    ...     print(each)
    clip: lower: 0 -> 0.1
    factor of *: + importance()
    """
    return tuple(_compared(before, after, "policy", ""))


def with_curve(policy: Policy, curve: Curve) -> Policy:
    """Return the policy with another forgetting curve in the place of its own.

    Parameters
    ----------
    policy : Policy
        One that holds one forgetting curve.
    curve : Curve
        One of `soma.math.decay`.

    Returns
    -------
    Policy
        The same in all else.

    Raises
    ------
    InvalidParameterError
        For a policy with none or several.

    Examples
    --------
    >>> from soma.math import decay, policy as p
    >>> with_curve(p.similarity() * p.decay(decay.Exponential(60.0)), decay.Exponential(90.0))
    similarity() * decay(Exponential(half_life_s=90.0), of=age_s)
    """
    n_curves = sum(isinstance(node, Decay) for node in _nodes(policy))
    if n_curves != 1:
        raise InvalidParameterError("policy", str(policy), f"must hold one forgetting curve and holds {n_curves}")
    return _with_curve(policy, curve)


def _with_curve(node: Policy, curve: Curve) -> Policy:
    if isinstance(node, Decay):
        return Decay(curve, node.of)
    below = {name: _with_curve(value, curve) for name, value in _fields(node) if isinstance(value, Policy)}
    changed: Policy = replace(node, **below)  # type: ignore[type-var]  # every node is a dataclass
    return changed


def _nodes(policy: Policy) -> Iterator[Policy]:
    yield policy
    for operand in policy.operands:
        yield from _nodes(operand)


def _fields(node: Policy) -> list[tuple[str, Any]]:
    return [(each.name, getattr(node, each.name)) for each in fields(node)]  # type: ignore[arg-type]  # as above


def _compared(before: Policy, after: Policy, where: str, beside: str) -> Iterator[Difference]:
    """Yield what differs; ``where`` says which part this is, and ``beside`` what a number in it goes with."""
    if before == after:
        return
    operator, read = _chain(before, after), ", ".join(sorted(before.features | after.features))
    if operator:
        yield from _chains_compared(operator, before, after, read)
    elif _form(before) == _form(after):
        name = f"constant beside {beside}" if beside and before.kind == "constant" else _name(before)
        yield from _parameters_compared(name, before, after)
        for one, other in zip(before.operands, after.operands, strict=True):
            yield from _compared(one, other, f"in {name}", read)
    else:
        yield Difference(where, str(before), str(after))


def _chain(before: Policy, after: Policy) -> str:
    """Return the operator under which both are a bag of parts with something in common; empty if there is none."""
    for operator in CHAINS:
        if operator in (before.kind, after.kind):
            ours, theirs = _parts(before, operator), _parts(after, operator)
            if before.kind == after.kind or _paired(ours, theirs):
                return operator
    return ""


def _parts(node: Policy, operator: str) -> list[Policy]:
    if node.kind != operator:
        return [node]
    return [part for operand in node.operands for part in _parts(operand, operator)]


def _paired(ours: Sequence[Policy], theirs: Sequence[Policy]) -> list[tuple[Policy, Policy]]:
    """Return pairs of parts: equal ones first, then those of one form that read the same."""
    left, pairs = list(theirs), []
    waiting = []
    for one in ours:
        if one in left:
            left.remove(one)
            pairs.append((one, one))
        else:
            waiting.append(one)
    for one in waiting:
        like = [other for other in left if (_form(one), one.features) == (_form(other), other.features)]
        if like:
            left.remove(like[0])
            pairs.append((one, like[0]))
    return pairs


def _chains_compared(operator: str, before: Policy, after: Policy, read: str) -> Iterator[Difference]:
    ours, theirs = _parts(before, operator), _parts(after, operator)
    found: list[Difference] = []
    for one, other in _paired(ours, theirs):
        ours.remove(one)
        theirs.remove(other)
        found += _compared(one, other, f"in {operator}", read)
    part = f"{'factor' if operator == '*' else 'term'} of {operator}"
    found += [Difference(part, str(one), None) for one in ours]
    found += [Difference(part, None, str(other)) for other in theirs]
    yield from found or [Difference(f"order of {operator}", str(before), str(after))]


def _form(node: Policy) -> tuple[Any, ...]:
    """Return what two nodes must share to be compared by their parameters: the kind, and how many operands."""
    return (node.kind, len(node.operands), *(operand.kind for operand in node.operands if isinstance(node, Decay)))


def _parameters_compared(name: str, before: Policy, after: Policy) -> Iterator[Difference]:
    for (parameter, one), (_, other) in zip(_fields(before), _fields(after), strict=True):
        if isinstance(one, Policy) or one == other:
            continue
        if isinstance(one, Family) and isinstance(other, Family) and one.family == other.family:
            for each in fields(one):
                values = getattr(one, each.name), getattr(other, each.name)
                if values[0] != values[1]:
                    yield Difference(f"{name}: {each.name}", *map(_value, values))
        else:
            yield Difference(f"{name}: {parameter}", _value(one), _value(other))


def _name(node: Policy) -> str:
    return f"decay of {node.of.kind}" if isinstance(node, Decay) else node.kind


def _value(value: object) -> str:
    return shown(value) if isinstance(value, float) else repr(value)
