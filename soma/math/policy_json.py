"""A policy as a document: versioned, hashed over its canonical bytes, refused if anything in it is unknown.

.. code-block:: json

    {"expression": {"node": "*", "left": {"node": "similarity"}, "right": {"node": "importance"}},
     "sha256": "...", "soma_policy": 1}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError

__all__ = ["MAX_DEPTH", "VERSION", "NodeForm", "content_hash", "read", "write"]

VERSION: Final = 1
"""The version that is written, and the only one that is read."""

MAX_DEPTH: Final = 64
"""Deepest nesting of nodes."""

_ENVELOPE_DEPTH: Final = 8  # the document itself and what a curve may nest


@dataclass(frozen=True, slots=True)
class NodeForm:
    """How one kind of node is written.

    Parameters
    ----------
    build : callable
        Makes the node from its fields, given by name, and checks them.
    nodes : tuple of str
        Fields that are nodes.
    values : tuple of str
        Fields that are JSON values.
    """

    build: Callable[..., Any]
    nodes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


def content_hash(expression: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a written expression with its version, in 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json.dumps({"soma_policy": VERSION, "expression": expression})).hexdigest()


def write(expression: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a written expression."""
    return {"soma_policy": VERSION, "expression": expression, "sha256": content_hash(expression)}


def parse(text: str | bytes) -> object:
    """Return the JSON value in ``text``, parsed strictly."""
    return canonical_json.loads(text, max_depth=MAX_DEPTH + _ENVELOPE_DEPTH)


def read(document: object, forms: Mapping[str, NodeForm]) -> Any:
    """Return the expression that a document holds; the caller verifies its hash.

    Parameters
    ----------
    document : object
        A JSON value.
    forms : mapping of str to NodeForm
        The kinds of node that are known.

    Raises
    ------
    SerializationError
        Saying where the document departs from the form, and what was expected there.
    """
    fields = _object(document, "the policy")
    if "soma_policy" not in fields:
        raise SerializationError('the policy must have the field "soma_policy" with its version')
    if type(fields["soma_policy"]) is not int or fields["soma_policy"] != VERSION:
        raise SerializationError(
            f"the policy has version {fields['soma_policy']!r:.40}, and this soma reads version {VERSION}"
        )
    _require_fields(fields, ("soma_policy", "expression"), "the policy", optional="sha256")
    return _read_node(fields["expression"], forms, "expression", MAX_DEPTH, {})


def _read_node(
    document: object, forms: Mapping[str, NodeForm], where: str, depth_left: int, known: dict[Any, Any]
) -> Any:
    """Return the node of a document; equal ones are one object, which is evaluated once."""
    if depth_left == 0:
        raise SerializationError(f"the policy is nested deeper than {MAX_DEPTH} nodes at {where[:80]}...")
    fields = _object(document, where)
    kind = fields.get("node")
    form = forms.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise SerializationError(f"{where} has the node {kind!r:.40}; known are {', '.join(sorted(forms))}")
    _require_fields(fields, ("node", *form.nodes, *form.values), where)
    nodes = {name: _read_node(fields[name], forms, f"{where}.{name}", depth_left - 1, known) for name in form.nodes}
    try:
        node = form.build(**nodes, **{name: fields[name] for name in form.values})
        return known.setdefault(node, node)
    except (InvalidParameterError, SerializationError) as error:
        raise SerializationError(f"{where}: {error}") from error


def _object(document: object, where: str) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise SerializationError(f"{where} must be an object, got {document!r:.40}")
    return document


def _require_fields(fields: Mapping[str, Any], names: tuple[str, ...], where: str, *, optional: str = "") -> None:
    for name in names:
        if name not in fields:
            raise SerializationError(f'{where} lacks the field "{name}"')
    for name in fields:
        if name not in names and name != optional:
            raise SerializationError(f"{where} has the unknown field {name!r:.40}; known are {', '.join(names)}")
