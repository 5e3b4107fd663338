"""The two forms of a dump of version 1, and the values in it."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

from soma import canonical_json
from soma.errors import SerializationError
from soma.ingest.document import read_document
from soma.ingest.legacy_keys import PICKLE, is_pickle

__all__ = ["entries_of", "parse_value"]


def entries_of(data: bytes, name: str) -> dict[str, Any]:
    r"""Return the entries of a dump by their keys.

    Parameters
    ----------
    data : bytes
        The file: a JSON object, or lines of ``{"key": ..., "value": ...}``.
    name : str
        What it is called, for errors.

    Returns
    -------
    dict
        In their order.

    Raises
    ------
    SerializationError
        If it is neither, or holds one key twice.

    Examples
    --------
    >>> entries_of(b'{"key": "a", "value": 1}\n{"key": "b", "value": 2}\n', "dump.jsonl")
    {'a': 1, 'b': 2}
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not _starts_with_an_entry(data):
        document = read_document(data, name)
        if not isinstance(document, dict):
            raise SerializationError(f"{name}: a dump must be a JSON object from keys to values, or lines of entries")
        return document
    found: dict[str, Any] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        entry = read_document(line, name, line=number)
        if not _is_entry(entry):
            raise SerializationError(f"{name}, line {number}: the line must be an object of a key and a value")
        if entry["key"] in found:
            raise SerializationError(f"{name}, line {number}: the key {entry['key']!r:.120} stands twice in the dump")
        found[entry["key"]] = entry["value"]
    return found


def parse_value(raw: Any) -> dict[str, Any]:
    """Return the object that a value is or holds.

    Parameters
    ----------
    raw : JSON value
        An object, or a text that holds one.

    Returns
    -------
    dict
        The object.

    Raises
    ------
    SerializationError
        If it is none; of a pickle it is said that it is one.

    Examples
    --------
    >>> parse_value('{"task": "Fix the clock"}')
    {'task': 'Fix the clock'}
    """
    if isinstance(raw, str):
        if is_pickle(raw):
            raise SerializationError(PICKLE)
        raw = canonical_json.loads(raw)
    if not isinstance(raw, dict):
        raise SerializationError("the value must be a JSON object, or a text that holds one")
    return raw


def _is_entry(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and value.keys() == {"key", "value"} and isinstance(value["key"], str)


def _starts_with_an_entry(data: bytes) -> bool:
    first, _, _ = data.lstrip().partition(b"\n")
    try:
        return _is_entry(json.loads(first))
    except (ValueError, RecursionError):  # a document of several lines
        return False
