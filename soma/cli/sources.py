"""What a command reads besides a store: text files, and policies by file or by name."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from soma.errors import InvalidParameterError, NotFoundError, SerializationError
from soma.math import policy as policies

__all__ = ["policy_named", "presets_or_files", "read_text"]


def presets_or_files(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the presets that begin so, and let the shell add its files."""
    names = [CompletionItem(name) for name in policies.presets.PRESETS if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def policy_named(source: str) -> policies.Policy:
    """Return the preset of a name, or the policy in a file."""
    builder = policies.presets.PRESETS.get(source)
    if builder is not None:
        return builder()
    file = Path(source)
    if not file.exists():
        raise NotFoundError("policy", source, f"name a file, or one of {', '.join(policies.presets.PRESETS)}")
    try:
        return policies.from_json(read_text(file))
    except (SerializationError, InvalidParameterError) as error:
        raise SerializationError(f"{file} is no policy: {error}") from None


def read_text(path: Path) -> str:
    """Return the text of a file that an option names, or raise an error of one sentence."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SerializationError(f"{path} cannot be read as UTF-8 text: {error}") from error
