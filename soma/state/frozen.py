"""Payloads that cannot change: JSON values copied once, checked once, and frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import numpy as np

from soma.canonical_json import MAX_INTEGER, require_text
from soma.errors import SerializationError

__all__ = ["FrozenDict", "FrozenList", "freeze", "freeze_object"]

MAX_DEPTH: Final = 32
"""Deepest nesting of a payload: less than a document's, which wraps it in an envelope."""


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(f"{type(self).__name__} cannot change: copy it with dict(...) or list(...)")


class FrozenDict(dict[str, Any]):
    """A dictionary that refuses every change; equal to the plain dictionary of the same items."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> FrozenDict:
        return self

    def __deepcopy__(self, memo: object) -> FrozenDict:
        return self

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses every change; equal to the plain list of the same items."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __copy__(self) -> FrozenList:
        return self

    def __deepcopy__(self, memo: object) -> FrozenList:
        return self

    def __reduce__(self) -> tuple[type[FrozenList], tuple[list[Any]]]:
        return FrozenList, (list(self),)


def freeze_object(value: object, where: str) -> FrozenDict:
    """Return a frozen copy of a JSON object, or raise `SerializationError` naming the place."""
    if type(value) is FrozenDict:
        return value
    if not isinstance(value, Mapping):
        raise SerializationError(f"{where} must be a JSON object, got {type(value).__name__}")
    frozen = freeze(value, where)
    assert isinstance(frozen, FrozenDict)  # noqa: S101 - a Mapping freezes to a FrozenDict, for the type checker
    return frozen


def freeze(value: object, where: str, depth_left: int = MAX_DEPTH) -> Any:
    """Return a frozen copy of a JSON value.

    Parameters
    ----------
    value : JSON value
        NumPy scalars count as the numbers they are.
    where : str
        The place to name in an error: ``"payload"``.
    depth_left : int
        Levels of nesting still allowed.

    Returns
    -------
    JSON value
        Objects as `FrozenDict`, arrays as `FrozenList`.

    Raises
    ------
    SerializationError
        For what JSON cannot carry (NaN, bytes, dates, integers beyond 2**53 - 1, NUL) and for too deep nesting.

    Examples
    --------
    >>> freeze({"files": ("a.py",)}, "payload")
    {'files': ['a.py']}
    """
    if isinstance(value, str):
        return require_text(str(value), f"a string in {where}")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise SerializationError(f"{where} holds an integer beyond 2**53 - 1: send it as a string")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SerializationError(f"{where} holds {value}: JSON numbers are finite; use null")
        return float(value)
    if not isinstance(value, Mapping | list | tuple):
        raise SerializationError(f"{where} holds a {type(value).__name__}, which JSON cannot carry: {_hint(value)}")
    if depth_left == 0:
        raise SerializationError(f"{where} is nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise SerializationError(f"{where} has the key {key!r}: keys must be strings")
            require_text(key, f"a key of {where}")
        return FrozenDict({str(key): freeze(child, f"{where}.{key}", depth_left - 1) for key, child in value.items()})
    return FrozenList(freeze(child, where, depth_left - 1) for child in value)


def _hint(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return "encode binary data as base64 text"
    if isinstance(value, np.ndarray):
        return "convert it with .tolist()"
    if hasattr(value, "isoformat"):
        return "write an ISO 8601 string or POSIX seconds"
    return "convert it to strings, numbers, lists and objects"
