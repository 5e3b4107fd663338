"""Version 1: JSON dumps of SomaFractalMemory's key-value store, read into records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from soma import canonical_json
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.ingest.document import read_bytes
from soma.ingest.legacy_file import entries_of, parse_value
from soma.ingest.legacy_keys import PICKLE, is_pickle, parse_key, split_key
from soma.ingest.refusal import MAX_RECORD
from soma.ingest.rows import DEFAULT_IMPORTANCE
from soma.ingest.times import read_instant
from soma.state.fields import MemoryType
from soma.state.frozen import freeze_object
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from os import PathLike

    from soma.state.instant import Instant

__all__ = ["LeftOut", "LegacyDump", "read_legacy"]

_LEGACY = UUID("c7f0a2b4-9d18-5c33-8a6f-1e4b7d0c5f92")
_PICKLES = (".pkl", ".pickle", ".p")
_LONE = "no memory was read to which it belongs"
_META: Final = {
    "creation_timestamp": "created",
    "last_accessed_timestamp": "last_accessed",
    "access_count": "access_count",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One entry of a dump of which no record, or no part of one, was made.

    Parameters
    ----------
    key : str
        Its key.
    reason : str
        Why.
    """

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LegacyDump:
    """What a dump of version 1 holds.

    Parameters
    ----------
    namespaces : tuple of str
        Sorted.
    records : mapping
        From each namespace to a tuple of its records, in the order of the dump.
    left_out : tuple of LeftOut
        What became of no record, and why, in the order of the dump.
    """

    namespaces: tuple[str, ...]
    records: Mapping[str, tuple[MemoryRecord, ...]]
    left_out: tuple[LeftOut, ...] = field(default=())


def read_legacy(path: str | PathLike[str], *, undated: Instant | None = None) -> LegacyDump:
    """Return the memories that a dump of version 1 holds.

    Parameters
    ----------
    path : path
        A JSON object from keys to values, or lines of ``{"key": ..., "value": ...}``. Keys are
        ``NAMESPACE:COORDINATE:data``, as in ``lab:(0.25, 1.0):data``; values are JSON objects, or texts that hold one.
    undated : float, aware datetime or str, optional
        The time of memories that have none; they are left out if it is.

    Returns
    -------
    LegacyDump
        The records, and by name whatever is not among them.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened, or is a pickle.
    SerializationError
        If it is no JSON, no dump, or holds one key twice.

    Notes
    -----
    What becomes of a value's fields: ``task`` is the text, if it is one; ``timestamp`` the time, or that at which the
    entry's ``:meta`` says it was made; ``memory_type`` the type, episodic if absent; ``importance`` is rounded to an
    integer, half to even, 5 if absent; ``coordinate`` must be that of the key. All others stay in the payload, and
    beside them an importance that was no integer. What ``:meta`` says is kept in the payload as ``v1``: ``created``,
    ``last_accessed`` (POSIX seconds) and ``access_count``. Entries of other kinds (write-ahead logs, locks) and pickled
    values are left out. Nothing is ever unpickled. The id depends on namespace and coordinate, which named a memory in
    version 1. Laws: ``property_tests/ingest/test_legacy.py``.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "dump.json")
    >>> value = {"task": "Fix the clock", "timestamp": 86400, "by": "Ada"}
    >>> _ = path.write_text(json.dumps({"lab:(0.25, 1.0):data": value}))
    >>> (record,) = read_legacy(path).records["lab"]
    >>> record.text, record.coordinate, dict(record.payload)
    ('Fix the clock', (0.25, 1.0), {'by': 'Ada'})
    """
    path = Path(path)
    undated_s = None if undated is None else read_instant("undated", undated)
    data = read_bytes(path, "a JSON dump of version 1")
    if path.suffix.lower() in _PICKLES or is_pickle(data[:65_536]):
        raise ConfigurationError(f"{path.name} is refused: {PICKLE}", "give the JSON dump")
    return _dump(entries_of(data, path.name), undated_s)


def _dump(entries: Mapping[str, Any], undated_s: float | None) -> LegacyDump:
    parts = {key: split_key(key) for key in entries}
    left_out: dict[str, str] = {}
    metas: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
    for key, part in parts.items():
        if part is None or part[2] not in {"data", "meta"}:
            left_out[key] = "it is no memory: those have keys such as lab:(0.25, 1.0):data"
        elif part[2] == "meta":
            try:
                metas[part[:2]] = key, _meta(parse_value(entries[key]))
            except (InvalidParameterError, SerializationError) as error:
                left_out[key] = str(error)
    records: dict[str, dict[UUID, MemoryRecord]] = {}
    for key, part in parts.items():
        if part is None or part[2] != "data":
            continue
        meta_key, meta = metas.pop(part[:2], (key, {}))
        try:
            record = _record(part[0], part[1], parse_value(entries[key]), meta, undated_s)
            held = records.setdefault(record.namespace, {})
            if held.setdefault(record.id, record) is not record:
                raise SerializationError("another memory of the dump has the same coordinate")
        except (InvalidParameterError, SerializationError) as error:
            left_out[key] = str(error)
            left_out.setdefault(meta_key, _LONE)
    left_out |= dict.fromkeys((key for key, _ in metas.values()), _LONE)
    names = sorted(name for name, held in records.items() if held)
    return LegacyDump(
        namespaces=tuple(names),
        records=MappingProxyType({name: tuple(records[name].values()) for name in names}),
        left_out=tuple(LeftOut(key, left_out[key]) for key in entries if key in left_out),
    )


def _record(
    namespace: str, coordinate: str, value: Mapping[str, Any], meta: Mapping[str, Any], undated_s: float | None
) -> MemoryRecord:
    name, place = parse_key(namespace, coordinate)
    payload = dict(value)
    named, memory_type = payload.pop("coordinate", None), payload.pop("memory_type", MemoryType.EPISODIC)
    if named is not None and (not isinstance(named, list) or [*named] != [*place]):
        raise InvalidParameterError("coordinate", named, f"must be that of the key, {place}")
    text = payload.pop("task") if isinstance(payload.get("task"), str) and payload["task"].strip() else None
    dates = [at for at in (payload.pop("timestamp", None), meta.get("created"), undated_s) if at is not None]
    if not dates:
        raise SerializationError("it has no timestamp, and no :meta with a creation_timestamp: give undated for such")
    importance = _importance(payload)
    if meta:
        if "v1" in payload:
            raise SerializationError("its payload has a field v1, where what its :meta says would be kept")
        payload["v1"] = dict(meta)
    record = MemoryRecord(
        id=uuid5(_LEGACY, f"{name} {place!r}"),
        namespace=name,
        coordinate=place,
        timestamp=read_instant("timestamp", dates[0]),
        importance=importance,
        payload=freeze_object(payload, "payload"),
        memory_type=memory_type,
        text=text,
    )
    canonical_json.dumps(record.to_dict(), max_bytes=MAX_RECORD)
    return record


def _importance(payload: dict[str, Any]) -> int:
    """Take the importance out of a payload; one that is no integer stays there as well."""
    raw = payload.pop("importance", None)
    if raw is None:
        return DEFAULT_IMPORTANCE
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise InvalidParameterError("importance", raw, "must be a finite number")
    if raw != round(raw):
        payload["importance"] = raw
    return round(raw)


def _meta(fields: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(fields) - set(_META))
    if unknown:
        raise InvalidParameterError("the meta", unknown[0], f"must hold none but {', '.join(_META)}")
    found: dict[str, Any] = {_META[name]: _number(name, value) for name, value in fields.items()}
    for name in ("created", "last_accessed"):
        if name in found:
            found[name] = read_instant(name, found[name])
    return found


def _number(name: str, value: object) -> float | int:
    """Return a number, which Redis keeps as a text."""
    try:
        if isinstance(value, str):
            number = float(value)
            value = int(number) if number.is_integer() else number
    except (ValueError, OverflowError):
        pass
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidParameterError(name, value, "must be a finite number")
    return value
