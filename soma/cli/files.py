"""Files that commands write: whole or not at all, and never over another without being told to."""

from __future__ import annotations

import os
from pathlib import Path

from soma.errors import StoreError

__all__ = ["require_free", "write_whole"]


def require_free(file: Path, is_forced: bool) -> None:
    """Raise if a file is there and may not be replaced: before the work, and not after it."""
    if file.is_dir():
        raise StoreError(f"{file} is a folder: name a file")
    if file.exists() and not is_forced:
        raise StoreError(f"{file} is there already: choose another name, or --force")
    if not file.parent.is_dir():
        raise StoreError(f"{file} cannot be written: there is no folder {file.parent}")


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is there whole, or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as opened:
            try:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            except BaseException:
                part.unlink()
                raise
        part.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
