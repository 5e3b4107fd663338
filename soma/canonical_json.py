"""JSON in one form only: strict when read, canonical (RFC 8785) when written.

What is read twice differently is refused: duplicate keys, NaN and infinity, integers that a double cannot
hold, lone surrogates, NUL, bytes that are not UTF-8. What can exhaust a machine is limited: size and depth.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import Any, Final, NoReturn, TypeAlias

import rfc8785

from soma.errors import SerializationError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_INTEGER", "Json", "dumps", "loads", "require_text"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_BYTES: Final = 1_000_000
"""Largest document, in bytes: below the one megabyte that a message broker accepts by default."""

MAX_DEPTH: Final = 40
"""Deepest nesting of arrays and objects in a document."""

MAX_INTEGER: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps exactly."""


def dumps(value: Any, *, max_bytes: int = MAX_BYTES) -> bytes:
    r"""Return the canonical bytes of ``value``: equal values give equal bytes.

    Parameters
    ----------
    value : JSON value
        Dictionaries with string keys, lists or tuples, strings, finite numbers, booleans, None.
    max_bytes : int
        Largest result, in bytes.

    Returns
    -------
    bytes
        RFC 8785: UTF-8, keys sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them.

    Raises
    ------
    SerializationError
        For a value that JSON cannot carry exactly, or that is too large.

    Notes
    -----
    Laws: ``property_tests/state/test_serialization.py``.

    Examples
    --------
    >>> dumps({"b": 1.0, "a": [True, None, "\u00e9"]}).decode()
    '{"a":[true,null,"é"],"b":1}'
    """
    try:
        data = _written(value).encode()
    except RecursionError:
        raise SerializationError("the value is nested too deeply or contains itself") from None
    except (rfc8785.CanonicalizationError, UnicodeError, TypeError) as error:
        raise SerializationError(f"the value is not JSON: {error}") from error
    if len(data) > max_bytes:
        raise SerializationError(f"the value takes {len(data):,} bytes; at most {max_bytes:,} are accepted")
    return data


def loads(data: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """Parse JSON strictly.

    Parameters
    ----------
    data : bytes or str
        One JSON document; bytes are UTF-8.
    max_bytes : int
        Largest document, in bytes.
    max_depth : int
        Deepest nesting of arrays and objects.

    Returns
    -------
    JSON value
        ``dumps`` of it gives the canonical form of ``data``.

    Raises
    ------
    SerializationError
        Saying what is wrong and, where known, where.

    Notes
    -----
    Laws: ``property_tests/state/test_serialization.py``.

    Examples
    --------
    >>> loads(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    soma.errors.SerializationError: the key 'a' stands twice in one object
    """
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise SerializationError(f"the document has {size:,} bytes; at most {max_bytes:,} are accepted")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else require_text(data, "the document")
    except UnicodeDecodeError as error:
        raise SerializationError(f"the document is not UTF-8 at byte {error.start}") from error
    try:
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise SerializationError(f"the document is not JSON: {error}") from error
    except RecursionError:
        raise SerializationError(f"the document is nested deeper than {max_depth}") from None
    # the decoder refuses raw control characters, and UTF-8 has no surrogates: only an escape can bring them in
    if "\\u" in text or text.count("[") + text.count("{") > max_depth:
        _check(value, max_depth)
    return value


def _written(value: Any) -> str:
    """Return what ``rfc8785.dumps`` does, twenty times as fast where most of a document is vectors and texts."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is float:
        return _number(value)
    if kind is int and -MAX_INTEGER <= value <= MAX_INTEGER:
        return repr(value)
    if isinstance(value, list | tuple):
        return _numbers(tuple(value)) if {*map(type, value)} == {float} else f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict) and {*map(type, value)} <= {str}:
        items = sorted(value.items(), key=_code_units)
        return f"{{{','.join([f'{_quoted(key)}:{_written(child)}' for key, child in items])}}}"
    other: str = rfc8785.dumps(value).decode()  # truth values, None, subclasses; or it says why not
    return other


@lru_cache(maxsize=1_024)  # a vector is written three times when it is stored: into the event, the row and its key
def _numbers(values: tuple[float, ...]) -> str:
    return f"[{','.join(map(_number, values))}]"


def _number(value: float) -> str:
    text = repr(value)
    if "e" in text or "n" in text:  # ECMAScript has an exponent elsewhere, and neither NaN nor infinity
        other: str = rfc8785.dumps(value).decode()
        return other
    return text.removesuffix(".0") if value else "0"


def _code_units(item: tuple[str, Any]) -> bytes:
    return item[0].encode("utf-16-be")


def require_text(text: str, what: str = "a string") -> str:
    """Return ``text``, or raise if a store could not hold it: lone surrogates and NUL.

    Parameters
    ----------
    text : str
        Any.
    what : str
        What to call it in an error.

    Returns
    -------
    str
        ``text``.

    Raises
    ------
    SerializationError
        Naming what is wrong.
    """
    if "\0" in text:
        raise SerializationError(f"{what} contains NUL (U+0000), which databases cannot store")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise SerializationError(f"{what} contains a lone surrogate at index {error.start}") from error
    return text


def _check(value: Json, depth_left: int) -> None:
    if isinstance(value, str):
        require_text(value)
    elif isinstance(value, dict | list):
        if depth_left == 0:
            raise SerializationError("the document is nested deeper than is accepted")
        if isinstance(value, dict):
            for key in value:
                require_text(key, "a key")
        for child in value.values() if isinstance(value, dict) else value:
            _check(child, depth_left - 1)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise SerializationError(f"the key {twice!r} stands twice in one object")
    return result


def _float(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise SerializationError(f"the number {literal[:40]} is too large for a double")
    return value


def _int(literal: str) -> int | float:
    if len(literal) <= 17:
        exact = int(literal)
        if abs(exact) <= MAX_INTEGER:
            return exact
    # canonical JSON prints doubles below 1e21 without an exponent: those come back as the same double
    value = _float(literal)
    if rfc8785.dumps(value).decode() != literal:
        raise SerializationError(f"the integer {literal[:40]} is beyond 2**53 - 1: send it as a string")
    return value


def _constant(name: str) -> NoReturn:
    raise SerializationError(f"{name} is not JSON: numbers must be finite")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
