"""``soma completion``, and what completes a namespace: it runs at each press of a key, and loads little."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from soma.errors import SomaError

__all__ = ["completion", "namespaces_at_hand"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands, options, namespaces and presets."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "soma", "_SOMA_COMPLETE").source())


def namespaces_at_hand(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the namespaces of the store that the options before name; none where no store can be read."""
    from soma.settings import Settings  # noqa: PLC0415 - see above
    from soma.stores.sqlite import SqliteStorage  # noqa: PLC0415

    try:
        settings = Settings.from_environment()
        path = ctx.params.get("path")
        if settings.redis_url is not None:
            return []  # a key that is pressed asks no server
        storage = SqliteStorage((path or settings.path).expanduser(), is_read_only=True)
        try:
            with storage.reading():
                return [name for name in storage.records.namespaces() if name.startswith(incomplete)]
        finally:
            storage.close()
    except SomaError:
        return []
