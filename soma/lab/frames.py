"""Data frames in and out: records, ranked answers, and fits (extra ``lab``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from soma.errors import InvalidParameterError, SomaError
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from soma.math.fitting import FitResult
    from soma.state.recall import Recall

__all__ = ["fits_frame", "recall_frame", "records_frame", "records_from_frame"]

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
FIT_COLUMNS: Final = ("log_likelihood", "n", "aic", "aicc", "bic", "ssd", "r2_uncentred", "converged", "message")
REQUIRED: Final = ("id", "coordinate", "timestamp", "importance")


def fits_frame(fits: Iterable[FitResult], *, level: float = 0.95) -> pd.DataFrame:
    """Return fits as a frame, to compare models: one row a fitted parameter.

    Parameters
    ----------
    fits : iterable of FitResult
        Of the same data.
    level : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    DataFrame
        Indexed by model and parameter: value, standard_error, lower, upper, log_likelihood, n, aic, aicc, bic, ssd,
        r2_uncentred, converged and message.
    """
    rows = []
    for fit in fits:
        ends = fit.intervals(level)
        shared = {name: getattr(fit, name) for name in FIT_COLUMNS}
        for parameter, value, error in zip(fit.parameters, fit.values, fit.standard_errors, strict=True):
            lower, upper = ends[parameter.name]
            own = {"value": value, "standard_error": error, "lower": lower, "upper": upper}
            rows.append({"model": fit.model, "parameter": parameter.name, **own, **shared})
    columns = ("model", "parameter", "value", "standard_error", "lower", "upper", *FIT_COLUMNS)
    return pd.DataFrame(rows, columns=list(columns)).set_index(["model", "parameter"])


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
