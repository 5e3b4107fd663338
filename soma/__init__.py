"""soma: a memory system is a pure fold over an event log, and recall is a pure expression over its state.

Everything named here is loaded on first use, so that ``import soma`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soma.errors import (
        ConfigurationError,
        InvalidParameterError,
        NotFoundError,
        SerializationError,
        SomaError,
        StoreBusyError,
        StoreError,
    )
    from soma.factory import MemoryMode, Settings, create_memory, open, reembed  # noqa: A004 - soma.open is what users type
    from soma.math import decay, policy
    from soma.math.units import DAY, HOUR, MINUTE, WEEK, YEAR
    from soma.memory import Memory
    from soma.state.consolidation import Scales
    from soma.state.history import Position
    from soma.state.minimal import MinimalSoma, recall, state_hash, store
    from soma.state.namespace import Namespace
    from soma.state.query import Between, Query
    from soma.state.recall import Hit, Recall
    from soma.state.record import Link, MemoryRecord, MemoryType
    from soma.state.transition import apply, fold

__version__ = "2.0.0a1"

_HOMES = {
    "soma.errors": (
        "ConfigurationError",
        "InvalidParameterError",
        "NotFoundError",
        "SerializationError",
        "SomaError",
        "StoreBusyError",
        "StoreError",
    ),
    "soma.factory": ("MemoryMode", "Settings", "create_memory", "open", "reembed"),
    "soma.math": ("decay", "policy"),
    "soma.math.units": ("DAY", "HOUR", "MINUTE", "WEEK", "YEAR"),
    "soma.memory": ("Memory",),
    "soma.state.consolidation": ("Scales",),
    "soma.state.history": ("Position",),
    "soma.state.minimal": ("MinimalSoma", "recall", "state_hash", "store"),
    "soma.state.namespace": ("Namespace",),
    "soma.state.query": ("Between", "Query"),
    "soma.state.recall": ("Hit", "Recall"),
    "soma.state.record": ("Link", "MemoryRecord", "MemoryType"),
    "soma.state.transition": ("apply", "fold"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "WEEK",
    "YEAR",
    "Between",
    "ConfigurationError",
    "Hit",
    "InvalidParameterError",
    "Link",
    "Memory",
    "MemoryMode",
    "MemoryRecord",
    "MemoryType",
    "MinimalSoma",
    "Namespace",
    "NotFoundError",
    "Position",
    "Query",
    "Recall",
    "Scales",
    "SerializationError",
    "Settings",
    "SomaError",
    "StoreBusyError",
    "StoreError",
    "__version__",
    "apply",
    "create_memory",
    "decay",
    "fold",
    "open",
    "policy",
    "recall",
    "reembed",
    "state_hash",
    "store",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'soma' has no attribute {name!r}")
    module = importlib.import_module(home)
    value = importlib.import_module(f"{home}.{name}") if home == "soma.math" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
