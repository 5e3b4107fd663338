"""What the fields of records and events let in: a value in its one form, or an error that names the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

import numpy as np

from soma.canonical_json import MAX_INTEGER, require_text
from soma.errors import InvalidParameterError

__all__ = [
    "MAX_DIMENSION",
    "MAX_EMBEDDING",
    "MAX_WEIGHT",
    "MemoryType",
    "as_importance",
    "as_label",
    "as_memory_type",
    "as_namespace",
    "as_number",
    "as_tags",
    "as_uuid",
    "as_vector",
    "as_weight",
]

MAX_DIMENSION: Final = 64
MAX_EMBEDDING: Final = 8_192
MAX_TAGS: Final = 64
MAX_WEIGHT: Final = 1e9
NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LABEL: Final = re.compile(r"[^\s\x00-\x1f][^\x00-\x1f]{0,127}")


class MemoryType(StrEnum):
    """Episodic memories are events that happened once; semantic ones are what many events left."""

    EPISODIC = "episodic"
    SEMANTIC = "semantic"


def as_uuid(parameter: str, value: object) -> UUID:
    """Return ``value`` as a UUID, or raise."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)  # type: ignore[arg-type]
    except (ValueError, AttributeError, TypeError):
        raise InvalidParameterError(parameter, value, "must be a UUID") from None


def as_namespace(value: object) -> str:
    """Return ``value`` if it is a namespace's name, or raise."""
    if not isinstance(value, str) or not NAMESPACE.fullmatch(value):
        raise InvalidParameterError(
            "namespace",
            value,
            "must be 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or digit",
        )
    return value


def as_label(parameter: str, value: object) -> str:
    """Return ``value`` if it is a short printable label, or raise."""
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise InvalidParameterError(parameter, value, "must be 1 to 128 printable characters")
    return require_text(value, parameter)


def as_weight(value: object) -> float:
    """Return ``value`` as a weight > 0 whose sums stay finite, or raise."""
    number = as_number("weight", value)
    if not 0 < number <= MAX_WEIGHT:
        raise InvalidParameterError("weight", value, f"must be > 0 and at most {MAX_WEIGHT:g}")
    return number


def as_number(parameter: str, value: object) -> float:
    """Return ``value`` as a finite number, with one zero, or raise."""
    if type(value) is not float:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidParameterError(parameter, value, "must be finite numbers")
    if not math.isfinite(value):
        raise InvalidParameterError(parameter, value, "must be finite numbers")
    return float(value) + 0.0  # -0.0 becomes 0.0: canonical JSON knows one zero


def as_vector(parameter: str, value: object, max_dimension: int) -> tuple[float, ...]:
    """Return ``value`` as a tuple of 1 to ``max_dimension`` finite numbers, or raise."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | Mapping | set | frozenset) or not isinstance(value, Iterable):
        raise InvalidParameterError(parameter, value, "must be a sequence of finite numbers")
    vector = tuple(
        [x + 0.0 if type(x) is float and -math.inf < x < math.inf else as_number(parameter, x) for x in value]
    )
    if not 1 <= len(vector) <= max_dimension:
        raise InvalidParameterError(parameter, vector, f"must have 1 to {max_dimension} numbers")
    return vector


def as_memory_type(value: object) -> MemoryType:
    """Return ``value`` as a memory type, or raise."""
    if type(value) is MemoryType:
        return value
    try:
        return MemoryType(str(value))
    except ValueError:
        raise InvalidParameterError("memory_type", value, 'must be "episodic" or "semantic"') from None


def as_importance(value: object) -> int:
    """Return ``value`` as an integer that JSON keeps exactly, or raise."""
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameterError("importance", value, "must be an integer")
    if abs(value) > MAX_INTEGER:
        raise InvalidParameterError("importance", value, "must be at most 2**53 - 1, which JSON keeps exactly")
    return value


def as_tags(value: object) -> tuple[str, ...]:
    """Return ``value`` as sorted labels, each once, or raise."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise InvalidParameterError("tags", value, "must be a list of strings")
    tags = tuple(sorted({as_label("tags", tag) for tag in value}))
    if len(tags) > MAX_TAGS:
        raise InvalidParameterError("tags", tags, f"must be at most {MAX_TAGS}")
    return tags
