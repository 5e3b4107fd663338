"""The command line: ``soma COMMAND``; one file for each group of commands, loaded when it is called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from soma import __version__
from soma.errors import ConfigurationError, SomaError

__all__ = ["main"]

COMMANDS: Final = {
    "bench": "soma.cli.bench:bench",
    "budget": "soma.cli.keeping:budget",
    "completion": "soma.cli.completion:completion",
    "consolidate": "soma.cli.memories:consolidate",
    "delete-namespace": "soma.cli.keeping:delete_namespace",
    "demo": "soma.cli.demo:demo",
    "doctor": "soma.cli.doctor:doctor",
    "duplicates": "soma.cli.keeping:duplicates",
    "evict": "soma.cli.keeping:evict",
    "export-jsonl": "soma.cli.archives:export_jsonl",
    "forecast": "soma.cli.keeping:forecast",
    "forget": "soma.cli.memories:forget",
    "history": "soma.cli.past:history",
    "import-jsonl": "soma.cli.archives:import_jsonl",
    "ingest": "soma.cli.ingest:ingest",
    "lab": "soma.cli.lab:lab",
    "link": "soma.cli.links:link",
    "neighbours": "soma.cli.links:neighbours",
    "path": "soma.cli.links:path",
    "pin": "soma.cli.keeping:pin",
    "plot": "soma.cli.plot:plot",
    "policy": "soma.cli.policy:policy",
    "recall": "soma.cli.memories:recall",
    "remember": "soma.cli.memories:remember",
    "reembed": "soma.cli.reembed:reembed",
    "restore": "soma.cli.past:restore",
    "stats": "soma.cli.memories:stats",
    "sweep": "soma.cli.keeping:sweep",
    "versions": "soma.cli.past:versions",
}


def homes() -> dict[str, str]:
    """Return where each command is defined: soma's own, and those that packages offer as ``soma.commands``."""
    return {entry.name: entry.value for entry in entry_points(group="soma.commands")} | COMMANDS


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and turns soma's errors into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the names of the commands, sorted."""
        return sorted(homes())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """Return one command, imported now."""
        home = COMMANDS.get(cmd_name) or homes().get(cmd_name)
        if home is None:
            return None
        module, name = home.split(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if cmd_name in COMMANDS or (error.name or "").startswith("soma"):
                raise
            return absent(cmd_name, error)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, of commands and options, without importing a command."""
        names = [CompletionItem(name) for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of soma's ends it with exit code 2, unless ``--debug`` asks for the traceback."""
        try:
            return super().invoke(ctx)
        except SomaError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"soma: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            if error.errno != errno.ENOSPC or ctx.params.get("debug"):
                raise
            click.echo(f"soma: what was to be written has no room: {error}", err=True)
            with suppress(OSError):  # what is still in the buffer would fail once more at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


def absent(name: str, error: ModuleNotFoundError) -> click.Command:
    """Return the command that stands where a package is missing: it says which, and how to get it."""

    def refuse(**_: object) -> None:
        raise ConfigurationError(
            f"soma {name} needs the package {error.name}", f'pip install "soma-fractal-memory[{name}]"'
        )

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    return click.Command(
        name, params=[anything], callback=refuse, context_settings=settings, help=f"Not installed: needs {error.name}."
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="soma")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Long-term memory: a pure fold over an event log, recalled by an explained expression.

    Exit codes: 0 done, 1 broken off, 2 bad input or configuration (one sentence says what to do).
    """
