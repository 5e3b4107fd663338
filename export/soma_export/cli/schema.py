"""``soma export schema``."""

from __future__ import annotations

from pathlib import Path

import click

from soma.cli.options import print_json
from soma_export.contract import json_schema

__all__ = ["schema"]


@click.command()
@click.argument("event_type", required=False)
@click.option(
    "--write",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every schema, JSON Schema and Avro, into this folder.",
)
def schema(event_type: str | None, write: Path | None) -> None:
    """Print the JSON Schema of EVENT_TYPE, or of all events."""
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        for name, content in json_schema.as_files().items():
            (write / name).write_bytes(content)
        click.echo(f"{len(json_schema.as_files())} schemas written to {write}")
        return
    schemas = json_schema.schemas()
    if event_type is not None and event_type not in schemas:
        raise click.BadParameter(f"choose one of {', '.join(schemas)}", param_hint="EVENT_TYPE")
    print_json(schemas if event_type is None else schemas[event_type])
