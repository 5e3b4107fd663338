"""Snapshots of the exact index: files that are mapped into memory, checked where they are first read, and only derived.

A file is a line that names the form, the length of a header, its checksum, the header as JSON, and arrays. A segment's
file is written once, under a new name; the file ``index`` names the segments, says which of their rows live and which
place of which log they stand for, and is replaced whole. Any of them may be deleted: the index is then made again.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np

from soma import canonical_json
from soma.errors import SomaError, StoreError
from soma.math.quantised import Codes
from soma.stores.segments import NUMBERS, Part, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["DamagedIndexError", "SegmentFiles", "Snapshot"]

_FORM: Final = b"soma index 1\n"
_ALIGNED: Final = 64
_ROWS_A_SUM: Final = 64
_IN_MEMORY: Final = ("code", "scale", "error")
_TABLE: Final = "index"


class DamagedIndexError(StoreError):
    """A file of an index is not what was written: make the index again from its log.

    Parameters
    ----------
    problem : str
        Which file, and what is wrong with it.
    """


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An index as it was saved.

    Parameters
    ----------
    parts : list of Part
        Its segments, mapped.
    log : str
        The identity of the log that it followed.
    position : int
        Up to where.
    """

    parts: list[Part]
    log: str
    position: int


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """A folder of snapshots of one index.

    Parameters
    ----------
    folder : Path
        Made when the first snapshot is.
    about : mapping of str to str
        Namespace and embedder: a snapshot of any other is none.
    is_read_only : bool
        Write nothing.
    """

    folder: Path
    about: Mapping[str, str]
    is_read_only: bool = False

    def load(self) -> Snapshot | None:
        """Return what was saved last, or None where nothing was, or it is of another index, or damaged."""
        try:
            header, arrays, _ = _opened(self.folder / _TABLE)
            if header["about"] != self._about():
                return None
            log, position = str(header["log"]), int(header["position"])
            _check(self.folder / _TABLE, header, arrays)
            parts = []
            for i, (name, n_live) in enumerate(header["segments"]):
                segment = self._mapped(name)
                live = np.unpackbits(arrays[f"live {i}"], count=len(segment)).astype(bool)
                if int(np.count_nonzero(live)) != n_live:
                    return None
                parts.append(Part(segment, live, n_live))
            return Snapshot(parts, log, position)
        except (OSError, KeyError, TypeError, ValueError, SomaError):
            return None  # derived data: whatever is wrong with it, the log is right

    def save(self, parts: Sequence[Part], log: str, position: int) -> list[Part]:
        """Write an index down, and return its parts as they lie in the files."""
        filed = [self.filed(part) for part in parts]
        header = {
            "about": self._about(),
            "log": log,
            "position": position,
            "segments": [[part.segment.file, part.n_live] for part in filed],
        }
        self._write(_TABLE, header, {f"live {i}": np.packbits(part.live) for i, part in enumerate(filed)})
        kept = {_TABLE, *(part.segment.file for part in filed)}
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        return filed

    def filed(self, part: Part) -> Part:
        """Return a part whose segment lies in a file: written now, if it does not yet."""
        segment = part.segment
        if segment.file and (self.folder / segment.file).exists():
            return part
        self.check(segment)
        name = f"{uuid4().hex}.segment"
        tags = sorted(segment.tags)
        ends = np.cumsum([0, *(len(segment.tags[tag]) for tag in tags)]).tolist()
        arrays: dict[str, NDArray[Any]] = {
            "ids": segment.ids,
            "id_order": segment.id_order,
            **segment.numbers,
            **{f"least {column}": segment.least[column] for column in NUMBERS},
            **{f"most {column}": segment.most[column] for column in NUMBERS},
            "tags": np.concatenate([np.empty(0, dtype=np.int32), *(segment.tags[tag] for tag in tags)]),
            **{array: getattr(segment.codes, array) for array in _IN_MEMORY},
            "sums": _sums(segment.vectors),
            "vectors": segment.vectors,
        }
        self._write(name, {"first_expiry_s": segment.first_expiry_s.hex(), "tags": tags, "tag_ends": ends}, arrays)
        mapped = self._mapped(name)
        mapped.factors = segment.factors
        return Part(mapped, part.live, part.n_live)

    def drop(self, name: str) -> None:
        """Delete the file of a segment: a memory in it is to be forgotten."""
        (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete every file."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def check(self, segment: Segment, rows: NDArray[np.int64] | None = None) -> None:
        """Raise `DamagedIndexError` unless a segment, and the vectors of some rows or of all, are as they were written.

        What was found whole is not read again.
        """
        backing = segment.backing
        if backing is None:
            return
        if not backing.is_checked:
            _check(backing.path, backing.header, backing.arrays)
            codes = segment.codes
            # in memory of its own: large pages, and no file under the kernel that reads most
            segment.codes = Codes(codes.code.copy(), codes.scale.copy(), codes.error.copy())
            backing.is_checked = True
        pieces = np.arange(len(backing.whole)) if rows is None else rows // _ROWS_A_SUM
        is_known = backing.whole[pieces]
        if is_known.all():
            return
        for piece in np.unique(pieces[~is_known]).tolist():
            part = segment.vectors[piece * _ROWS_A_SUM : (piece + 1) * _ROWS_A_SUM]
            if _sum(part) != backing.arrays["sums"][piece]:
                raise DamagedIndexError(f"{backing.path} is damaged")
            backing.whole[piece] = True

    def _about(self) -> dict[str, str]:
        return {**self.about, "byte_order": sys.byteorder}

    def _mapped(self, name: str) -> Segment:
        if Path(name).name != name:
            raise DamagedIndexError(f"{name!r:.80} is no name of a segment")
        path = self.folder / name
        header, arrays, n_bytes = _opened(path)
        if n_bytes != path.stat().st_size:
            raise DamagedIndexError(f"{path} is cut short")
        ends = header["tag_ends"]
        n = len(arrays["ids"])
        return Segment(
            arrays["ids"],
            arrays["id_order"],
            arrays["timestamp_s"],
            arrays["last_used_s"],
            arrays["expires_at_s"],
            arrays["importance"],
            arrays["memory_type"],
            {tag: arrays["tags"][a:b] for tag, a, b in zip(header["tags"], ends, ends[1:], strict=False)},
            arrays["vectors"],
            Codes(*(arrays[array] for array in _IN_MEMORY)),
            {column: arrays[f"least {column}"] for column in NUMBERS},
            {column: arrays[f"most {column}"] for column in NUMBERS},
            float.fromhex(header["first_expiry_s"]),
            name,
            Backing(path, header, arrays, np.zeros(-(-n // _ROWS_A_SUM), dtype=bool)),
        )

    def _write(self, name: str, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        held: dict[str, Any] = {}
        at = 0
        for array, values in arrays.items():
            sums = None if array == "vectors" else _sum(values)
            held[array] = {"type": values.dtype.str, "shape": list(values.shape), "at": at, "sum": sums}
            at += -(-values.nbytes // _ALIGNED) * _ALIGNED
        text = canonical_json.dumps({**header, "arrays": held}, max_bytes=2**30)
        text += b" " * (-(len(_FORM) + 12 + len(text)) % _ALIGNED)
        scratch = self.folder / f"{uuid4().hex}.new"
        with scratch.open("wb") as file:
            file.write(_FORM + len(text).to_bytes(8, "little") + zlib.crc32(text).to_bytes(4, "little") + text)
            for values in arrays.values():
                file.write(_bytes(values))
                file.write(b"\0" * (-values.nbytes % _ALIGNED))
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.folder / name)


@dataclass(slots=True)
class Backing:
    """The file that a segment lies in, and what of it was found whole."""

    path: Path
    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    whole: NDArray[np.bool_]
    is_checked: bool = field(default=False)


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]], int]:
    """Return the header of a file, its arrays, mapped, and how long it must be."""
    with path.open("rb") as file:
        start = file.read(len(_FORM) + 12)
        length = int.from_bytes(start[len(_FORM) : -4], "little")
        if not start.startswith(_FORM) or length > 2**30:
            raise DamagedIndexError(f"{path} is no file of an index")
        text = file.read(length)
    if zlib.crc32(text) != int.from_bytes(start[-4:], "little"):
        raise DamagedIndexError(f"{path} is damaged")
    header: dict[str, Any] = canonical_json.loads(text, max_bytes=2**30)  # type: ignore[assignment]
    first = len(start) + length
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    arrays, end = {}, first
    for name, held in header["arrays"].items():
        kind, shape, at = np.dtype(held["type"]), tuple(held["shape"]), first + held["at"]
        n_bytes = int(np.prod(shape)) * kind.itemsize
        end = max(end, first + held["at"] + -(-n_bytes // _ALIGNED) * _ALIGNED)
        if at + n_bytes > len(mapped):
            raise DamagedIndexError(f"{path} is cut short")
        arrays[name] = np.asarray(mapped[at : at + n_bytes]).view(kind).reshape(shape)
    return header, arrays, end


def _check(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, held in header["arrays"].items():
        if held["sum"] is not None and _sum(arrays[name]) != held["sum"]:
            raise DamagedIndexError(f"{path} is damaged")


def _sum(values: NDArray[Any]) -> int:
    return zlib.crc32(_bytes(values))


def _bytes(values: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _sums(vectors: NDArray[np.float32]) -> NDArray[np.uint32]:
    pieces = range(0, len(vectors), _ROWS_A_SUM)
    return np.array([_sum(vectors[at : at + _ROWS_A_SUM]) for at in pieces], dtype=np.uint32)
