"""``soma lab``: JupyterLab on a folder of notebooks."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import click

from soma.errors import ConfigurationError, NotFoundError

__all__ = ["lab"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", metavar="[FOLDER] [JUPYTER_OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening it.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where it listens, on 127.0.0.1.  [default: Jupyter's]")
def lab(arguments: tuple[str, ...], no_browser: bool, port: int | None) -> None:
    """Start JupyterLab on FOLDER: ./notebooks if it is there, else the current folder.

    What soma does not know goes on to jupyter lab, which ends with its own exit code. The notebooks of the project are
    in its repository, not in the package.
    """
    has_folder = bool(arguments) and not arguments[0].startswith("-")
    folder = Path(arguments[0]) if has_folder else Path("notebooks") if Path("notebooks").is_dir() else Path()
    if not folder.is_dir():
        raise NotFoundError("folder", folder, "name one that holds your notebooks")
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigurationError("soma lab needs the package jupyterlab", 'pip install "soma-fractal-memory[lab]"')
    options = [f"--ServerApp.root_dir={folder.resolve()}", "--ServerApp.ip=127.0.0.1"]
    options += ["--no-browser"] if no_browser else []
    options += [] if port is None else [f"--port={port}"]
    click.echo(f"JupyterLab on {folder.resolve()}", err=True)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options, *arguments[has_folder:]])  # noqa: S606 - itself, no shell
