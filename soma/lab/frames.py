"""Data frames in and out: records, and ranked answers (extra ``lab``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from soma.errors import InvalidParameterError, SomaError
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from soma.state.recall import Recall

__all__ = ["recall_frame", "records_frame", "records_from_frame"]

COLUMNS: Final = (
    "id",
    "namespace",
    "coordinate",
    "timestamp",
    "importance",
    "payload",
    "memory_type",
    "embedding",
    "model_revision",
    "text",
    "tags",
    "pinned",
    "expires_at",
    "extras",
)
REQUIRED: Final = ("id", "coordinate", "timestamp", "importance")


def recall_frame(recall: Recall) -> pd.DataFrame:
    """Return a ranked answer as a frame: one row a hit.

    Parameters
    ----------
    recall : Recall
        A ranked answer.

    Returns
    -------
    DataFrame
        Indexed by rank: score, id, text, timestamp (UTC), importance_raw, memory_type, tags, and every feature.
    """
    frame = pd.DataFrame(
        recall.to_rows(), columns=None if recall.hits else ["rank", "score", "id", "text", "timestamp"]
    )
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s", utc=True)
    return frame.set_index("rank")


def records_frame(records: Iterable[MemoryRecord]) -> pd.DataFrame:
    """Return records as a frame: one row a record, one column a field, exactly.

    Parameters
    ----------
    records : iterable of MemoryRecord
        Any.

    Returns
    -------
    DataFrame
        Column ``timestamp`` in POSIX seconds; `records_from_frame` gives the same records back.
    """
    rows = [{name: _plain(getattr(record, name)) for name in COLUMNS} for record in records]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def records_from_frame(frame: pd.DataFrame, *, namespace: str = "default") -> list[MemoryRecord]:
    """Return the records that the rows of a frame describe.

    Parameters
    ----------
    frame : DataFrame
        Columns ``id``, ``coordinate``, ``timestamp`` (POSIX seconds or aware datetimes) and ``importance``, and any
        other field of `MemoryRecord`. A missing value leaves the field out.
    namespace : str
        The namespace of rows that name none.

    Returns
    -------
    list of MemoryRecord
        In the order of the rows.

    Raises
    ------
    InvalidParameterError
        Naming the column that is missing or unknown, or the column and row of a value outside its domain.
    """
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise InvalidParameterError("frame", list(frame.columns), f"must have the column {missing[0]!r}")
    unknown = [name for name in frame.columns if name not in COLUMNS]
    if unknown:
        raise InvalidParameterError("frame", unknown[0], f"must have only the columns {', '.join(COLUMNS)}")
    records = []
    for number, row in enumerate(frame.to_dict("records")):
        fields: dict[str, Any] = {str(name): value for name, value in row.items() if not _is_missing(value)}
        if isinstance(fields.get("timestamp"), pd.Timestamp):
            fields["timestamp"] = fields["timestamp"].to_pydatetime()
        importance = fields.get("importance")
        if isinstance(importance, float) and importance.is_integer():  # a column with a gap turns integers to floats
            fields["importance"] = int(importance)
        try:
            records.append(MemoryRecord(**{"namespace": namespace, **fields}))
        except InvalidParameterError as error:
            where = f"row {number}, column {error.parameter!r}"
            raise InvalidParameterError(where, error.value, error.requirement) from error
        except (SomaError, TypeError) as error:
            raise InvalidParameterError(f"row {number}", row.get("id"), f"must describe a record: {error}") from error
    return records


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value))
