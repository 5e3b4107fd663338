"""Why a score is what it is: the expression as a tree, with the value of every node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """One node of an explained score.

    Parameters
    ----------
    label : str
        The part of the formula that this node is.
    value : float
        Its value.
    operation : str
        How the children give the value: ``"*"`` multiplies them from left to right; empty for a leaf.
    children : tuple of Explanation
        The operands. A chain of sums or of products is one node with all its summands or factors.

    Notes
    -----
    Laws: ``property_tests/math/test_policy.py``.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> columns = {"similarity": [0.8], "importance": [0.25]}
    >>> (p.similarity() * p.importance() ** 0.5).explain(columns, 0)
     0.4  similarity() * importance() ** 0.5
     0.8  ├─ similarity()
     0.5  └─ importance() ** 0.5
    0.25     ├─ importance()
     0.5     └─ 0.5
    """

    label: str
    value: float
    operation: str = ""
    children: tuple[Explanation, ...] = ()

    def __repr__(self) -> str:
        rows = list(_rows(self, "", ""))
        shown = [f"{value:.6g}" for value, _ in rows]
        width = max(map(len, shown))
        return "\n".join(f"{value:>{width}}  {line}" for value, (_, line) in zip(shown, rows, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as JSON values."""
        return {
            "label": self.label,
            "value": self.value,
            "operation": self.operation,
            "children": [child.to_dict() for child in self.children],
        }


def _rows(node: Explanation, branch: str, below: str) -> Iterator[tuple[float, str]]:
    yield node.value, branch + node.label
    for child in node.children[:-1]:
        yield from _rows(child, f"{below}├─ ", f"{below}│  ")
    for child in node.children[-1:]:
        yield from _rows(child, f"{below}└─ ", f"{below}   ")
