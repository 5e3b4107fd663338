"""``soma export up`` and ``soma export down``: real servers on this machine, without Docker."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from soma.cli.options import as_json, print_json
from soma_export.local import stack as stacks
from soma_export.local.stack import DEFAULT_DIRECTORY, Server

__all__ = ["down", "up"]

SECRETS: Final = ("password", "sslpassword")

directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="The folder of the servers' data, logs and state.",
)


@click.command()
@directory_option
@as_json
def up(directory: Path, is_json: bool) -> None:
    """Start Kafka and PostgreSQL on this machine, and print their addresses for the shell.

    Each is taken from the environment (SOMA_KAFKA_BOOTSTRAP, SOMA_POSTGRES_DSN), else started from a program on this
    machine, else from a wheel of the extra local-stack. What runs already is left as it is. In a shell,
    eval "$(soma export up)" sets both variables.

    Exit code 2 if one of them is missing; what is there is started all the same.
    """
    stack = stacks.up(directory)
    if is_json:
        servers = {
            name: {
                "variable": server.variable,
                "address": without_secrets(server),
                "found": server.found,
                "pid": server.pid,
            }
            for name, server in stack.servers.items()
        }
        print_json({"servers": servers, "missing": stack.missing})
    else:
        for server in stack.servers.values():
            click.echo(f"{server.name}: {server.found}", err=True)
            if server.address == without_secrets(server):  # one with a password is in the environment already
                click.echo(f"export {server.variable}={shlex.quote(server.address)}")
    for name, reason in stack.missing.items():
        click.echo(f"{name} is missing: {reason}", err=True)
    if stack.missing:
        raise SystemExit(2)


@click.command()
@directory_option
@click.option("--purge", is_flag=True, help="Delete their data and logs too.")
def down(directory: Path, purge: bool) -> None:
    """Stop the servers that soma export up started; their data stay for the next time."""
    stopped = stacks.down(directory, is_purged=purge)
    click.echo(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running", err=True)


def without_secrets(server: Server) -> str:
    """Return the address of a server as it may be shown."""
    if server.name != "postgres":
        return server.address
    settings: dict[str, Any] = conninfo_to_dict(server.address)
    shown = {name: value for name, value in settings.items() if name not in SECRETS}
    return server.address if shown == settings else make_conninfo("", **shown)
