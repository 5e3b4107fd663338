"""The command line: ``soma COMMAND``; one file for each group of commands, loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from soma import __version__
from soma.errors import SomaError

__all__ = ["main"]

COMMANDS: Final = {
    "demo": "soma.cli.demo:demo",
    "doctor": "soma.cli.doctor:doctor",
    "forget": "soma.cli.memories:forget",
    "ingest": "soma.cli.ingest:ingest",
    "recall": "soma.cli.memories:recall",
    "remember": "soma.cli.memories:remember",
    "stats": "soma.cli.memories:stats",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and turns soma's errors into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the names of the commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click calls it so
        """Return one command, imported now."""
        home = COMMANDS.get(cmd_name)
        if home is None:
            return None
        module, name = home.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of soma's ends it with exit code 2, unless ``--debug`` asks for the traceback."""
        try:
            return super().invoke(ctx)
        except SomaError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"soma: {error}", err=True)
            sys.exit(2)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="soma")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Long-term memory: a pure fold over an event log, recalled by an explained expression.

    Exit codes: 0 done, 1 broken off, 2 bad input or configuration (one sentence says what to do).
    """
