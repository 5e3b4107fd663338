"""An experiment as a folder: a manifest, and one line of JSON for each system and question."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from soma import canonical_json
from soma.errors import ConfigurationError, SerializationError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["read_run", "write_run"]

FORMAT: Final = "soma-experiment/1"
MANIFEST: Final = "manifest.json"
RESULTS: Final = "results.jsonl"
PACKAGES: Final = ("soma-fractal-memory", "numpy", "pandas", "ir-measures")


def write_run(folder: str | PathLike[str], settings: Mapping[str, Any], rows: Iterator[dict[str, Any]]) -> Path:
    """Write a manifest and rows into a new folder, and return it.

    Parameters
    ----------
    folder : path
        Must not exist, or be empty.
    settings : mapping
        JSON values; versions of packages are added.
    rows : iterator of dict
        JSON values.

    Raises
    ------
    ConfigurationError
        If the folder holds something, or cannot be written.
    """
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ConfigurationError(f"{path} is not empty", "give a new folder for each run")
        with (path / RESULTS).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
        manifest = {"format": FORMAT, "versions": versions, **settings}
        # last, so that a folder with a manifest is whole
        (path / MANIFEST).write_text(
            json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=2) + "\n", "utf-8"
        )
    except OSError as error:
        raise ConfigurationError(f"cannot write {path} ({error.strerror})", "give a folder of yours") from error
    return path


def read_run(folder: str | PathLike[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the manifest and the rows that `write_run` wrote.

    Parameters
    ----------
    folder : path
        As it was given there.

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    SerializationError
        If it holds no run, or half of one.
    """
    path = Path(folder).expanduser()
    try:
        manifest = canonical_json.loads((path / MANIFEST).read_bytes())
        lines = (path / RESULTS).read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path} holds no run ({error.strerror})", "give the folder of a run") from error
    rows = [canonical_json.loads(line) for line in lines]
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("n_rows") != len(rows):
        raise SerializationError(f"{path} holds no whole run of {FORMAT}")
    return manifest, [row for row in rows if isinstance(row, dict)]
