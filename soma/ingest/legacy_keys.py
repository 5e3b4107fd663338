"""The keys of SomaFractalMemory 1, and how to know a pickle without reading one."""

from __future__ import annotations

import ast
import re
from typing import Final

from soma.errors import InvalidParameterError
from soma.state.fields import MAX_DIMENSION, as_namespace, as_vector

__all__ = ["PICKLE", "is_pickle", "parse_key", "split_key"]

PICKLE: Final = "it is a pickle, which can run code when it is read and never is: write it as JSON with version 1"
"""What is said of every pickle."""

_KEY = re.compile(r"(.{1,128}?):(\(.{1,4096}\)):([a-z_]{1,32})", re.DOTALL)
_NUMBER = r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?"
_TUPLE = re.compile(rf"\(\s*{_NUMBER}\s*(?:,\s*{_NUMBER}\s*)*,?\s*\)")
_NUMPY = re.compile(r"np\.(?:float|int)[0-9]{1,3}\(([^()]{1,400})\)")  # how NumPy 2 shows the numbers of a tuple
_BASE64 = re.compile(r"gA[I-X][A-Za-z0-9+/_-]*={0,2}")  # base64 of the bytes 80 02 to 80 05, which a pickle starts with
_PROTOCOL_0 = re.compile(r"(?:[(\]}][dlit]p?[0-9]*\n|c[A-Za-z_][\w.]*\n[A-Za-z_]).*\.\s*", re.DOTALL)
_SHOWN_BYTES = ("b'\\x80", 'b"\\x80')


def split_key(key: str) -> tuple[str, str, str] | None:
    """Return namespace, coordinate and suffix of a key as they are written.

    Parameters
    ----------
    key : str
        ``"lab:(0.25, 1.0):data"``.

    Returns
    -------
    tuple of str, or None
        None if it is no such key.

    Examples
    --------
    >>> split_key("lab:(0.25, 1.0):data")
    ('lab', '(0.25, 1.0)', 'data')
    """
    found = _KEY.fullmatch(key)
    return None if found is None else (found[1], found[2], found[3])


def parse_key(namespace: str, coordinate: str) -> tuple[str, tuple[float, ...]]:
    """Return namespace and coordinate as values.

    Parameters
    ----------
    namespace, coordinate : str
        As `split_key` gives them.

    Returns
    -------
    tuple of str and tuple of float
        Both within the domain of records.

    Raises
    ------
    InvalidParameterError
        For a namespace that this version does not accept, and for anything but a tuple of finite numbers.

    Examples
    --------
    >>> parse_key("lab", "(np.float64(0.25), 1)")
    ('lab', (0.25, 1.0))
    """
    plain = _NUMPY.sub(r"\1", coordinate)
    requirement = "must be a tuple of numbers, such as (0.25, 1.0)"
    if _TUPLE.fullmatch(plain) is None:  # nothing else reaches the parser
        raise InvalidParameterError("the coordinate", coordinate, requirement)
    try:
        value = ast.literal_eval(plain)
    except (ValueError, SyntaxError):
        raise InvalidParameterError("the coordinate", coordinate, requirement) from None
    if not isinstance(value, tuple):
        raise InvalidParameterError("the coordinate", coordinate, requirement)
    try:
        vector = as_vector("the coordinate", [float(number) for number in value], MAX_DIMENSION)
    except OverflowError:
        raise InvalidParameterError("the coordinate", coordinate, "must be finite numbers") from None
    return as_namespace(namespace), vector


def is_pickle(data: bytes | str) -> bool:
    r"""Tell whether something is a pickle, as bytes, as text of them, or in base64.

    Parameters
    ----------
    data : bytes or str
        A value, or a whole file.

    Returns
    -------
    bool
        Whether it starts like one. Nothing of it is read as a pickle.

    Examples
    --------
    >>> [is_pickle(one) for one in (b"\x80\x04.", "gASVBQAAAAAAAABLAS4=", '{"task": "none"}')]
    [True, True, False]
    """
    if isinstance(data, bytes):
        data = data.decode("latin-1")
    start = data.lstrip()
    if start.startswith(("\x80", "\\x80", *_SHOWN_BYTES)):
        return True
    plain = start.strip("\"' \n")
    return bool(_BASE64.fullmatch(plain.replace("\n", ""))) or bool(_PROTOCOL_0.fullmatch(start))
