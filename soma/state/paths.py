"""Paths into a payload: which value a dotted name leads to, and its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from soma import canonical_json

__all__ = ["at_path", "label"]


def at_path(payload: Mapping[str, Any], path: str) -> Any:
    """Return the value that a dotted path leads to in a payload, or None.

    Parameters
    ----------
    payload : mapping
        A JSON object.
    path : str
        Names of fields, each within the value of the one before: ``"author.name"``. A field whose own name is the whole
        rest of the path goes before one that leads further.

    Returns
    -------
    object
        A JSON value; None where the path leads nowhere, or to null.

    Examples
    --------
    >>> at_path({"author": {"name": "Ada"}, "a.b": 1}, "author.name"), at_path({"author": {}, "a.b": 1}, "a.b")
    ('Ada', 1)
    """
    if path in payload:
        return payload[path]
    first, dot, rest = path.partition(".")
    within = payload.get(first) if dot else None
    return at_path(within, rest) if isinstance(within, Mapping) else None


def label(value: Any) -> str:
    """Return one text for each JSON value, and the empty one for none: 1 and ``"1"`` are two labels, 1 and 1.0 are one.

    Parameters
    ----------
    value : object
        A JSON value.

    Examples
    --------
    >>> label("Ada"), label(1.0), label(None)
    ('"Ada"', '1', '')
    """
    return "" if value is None else canonical_json.dumps(value).decode()
