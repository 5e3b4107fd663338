r"""Forgetting curves: how likely one trace is to be retrieved, by the time since it was made.

Each family is a frozen value with the same few methods, and states its laws as data (`Laws`), from which the
tests are generated. Times are in seconds since the trace was made; a negative one is an error, and infinity
gives the limit.

>>> curve = Exponential(half_life_s=7 * 86_400.0)
>>> curve.value([0.0, 604_800.0]).tolist()
[1.0, 0.5]
>>> curve == from_json(curve.to_json())
True

Laws: ``property_tests/math/test_decay.py``; published values: ``property_tests/math/test_decay_models.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from soma import canonical_json
from soma.errors import SerializationError
from soma.math.decay_family import Curve, Family, Laws
from soma.math.decay_midpoint import ExponentialMidpoint, GaussianMidpoint, LinearMidpoint
from soma.math.decay_models import (
    Constant,
    Ebbinghaus,
    Exponential,
    Power,
    StretchedExponential,
    Wickelgren,
)

__all__ = [
    "FAMILIES",
    "Constant",
    "Curve",
    "Ebbinghaus",
    "Exponential",
    "ExponentialMidpoint",
    "GaussianMidpoint",
    "Laws",
    "LinearMidpoint",
    "Power",
    "StretchedExponential",
    "Wickelgren",
    "from_dict",
    "from_json",
]

FAMILIES: Final[Mapping[str, type[Family]]] = MappingProxyType(
    {
        kind.family: kind
        for kind in (
            Exponential,
            Power,
            Wickelgren,
            StretchedExponential,
            Ebbinghaus,
            ExponentialMidpoint,
            GaussianMidpoint,
            LinearMidpoint,
            Constant,
        )
    }
)
"""Every family by the name that JSON carries."""


def from_dict(mapping: Mapping[str, Any]) -> Family:
    """Return the curve that `Curve.to_dict` described.

    Parameters
    ----------
    mapping : mapping of str
        The name of the family under ``"family"``, and each of its parameters.

    Returns
    -------
    Family
        One of `FAMILIES`.

    Raises
    ------
    SerializationError
        For an unknown family, and a parameter that is unknown, missing or no number; it is named.
    InvalidParameterError
        For a parameter outside its domain.

    Examples
    --------
    >>> from_dict({"family": "power", "scale_s": 60, "exponent": 0.5})
    Power(scale_s=60.0, exponent=0.5)
    """
    if not isinstance(mapping, Mapping):
        raise SerializationError(f"a curve must be an object, got {mapping!r:.40}")
    name = mapping.get("family")
    kind = FAMILIES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SerializationError(f"a curve has the family {name!r:.40}; known are {', '.join(FAMILIES)}")
    known = [field.name for field in fields(kind)]
    for parameter in known:
        if parameter not in mapping:
            raise SerializationError(f'the curve {name} lacks the field "{parameter}"')
        if type(mapping[parameter]) not in (int, float):
            raise SerializationError(f'the field "{parameter}" of the curve {name} must be a number')
    for parameter in mapping:
        if parameter not in (*known, "family"):
            raise SerializationError(
                f"the curve {name} has the unknown field {parameter!r:.40}; known are {', '.join(known) or 'none'}"
            )
    return kind(**{parameter: mapping[parameter] for parameter in known})


def from_json(text: str | bytes) -> Family:
    """Return the curve that `Curve.to_json` wrote.

    Parameters
    ----------
    text : str or bytes
        One JSON object.

    Returns
    -------
    Family
        One of `FAMILIES`.

    Raises
    ------
    SerializationError
        For text that is not strict JSON, and as `from_dict`.
    InvalidParameterError
        For a parameter outside its domain.

    Examples
    --------
    >>> from_json('{"family":"exponential","half_life_s":60}')
    Exponential(half_life_s=60.0)
    """
    value = canonical_json.loads(text)
    if not isinstance(value, dict):
        raise SerializationError(f"a curve must be an object, got {value!r:.40}")
    return from_dict(value)
