"""``soma export dead-letters``: list, show and retry."""

from __future__ import annotations

import click

from soma.cli.options import as_json, print_json
from soma.state.instant import to_iso
from soma_export.cli.options import deployment
from soma_export.letters import find, parse_position
from soma_export.letters import retry as send_again

__all__ = ["dead_letters"]

STAGES = ["decode", "admit", "write"]


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at the messages that could not be taken, and send them again."""


@dead_letters.command("list")
@click.option("--stage", type=click.Choice(STAGES), help="Only what this stage refused.")
@click.option("--retried", is_flag=True, help="Those that were sent again, instead of those that wait.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@as_json
def list_letters(stage: str | None, retried: bool, limit: int, is_json: bool) -> None:
    """List dead letters, the oldest first."""
    found = find(deployment(), stage=stage, is_retried=retried, limit=limit)
    if is_json:
        print_json([letter.to_dict() for letter in found])
        return
    for letter in found:
        click.echo(f"{to_iso(letter.first_seen_s)}  {letter.stage:<6}  {letter.position}  {letter.reason}")
    click.echo(f"{len(found)} dead letters")


@dead_letters.command("show")
@click.argument("position")
def show(position: str) -> None:
    """Print the dead letter at POSITION as JSON: headers and body as they came, and the reason."""
    (letter,) = find(deployment(), positions=[parse_position(position)])
    print_json(letter.to_dict(is_whole=True))


@dead_letters.command("retry")
@click.argument("positions", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every one that waits, instead of some.")
@click.option("--stage", type=click.Choice(STAGES), help="With --all: only what this stage refused.")
@as_json
def retry(positions: tuple[str, ...], is_all: bool, stage: str | None, is_json: bool) -> None:
    """Append the dead letters at POSITIONS to the log again, as they came."""
    if bool(positions) == is_all:
        raise click.UsageError("give positions, or --all")
    found = deployment()
    letters = find(
        found,
        positions=None if is_all else [parse_position(position) for position in positions],
        stage=stage,
        is_retried=False if is_all else None,
    )
    n = send_again(found, letters)
    if is_json:
        print_json({"retried": n})
    else:
        click.echo(f"{n} dead letters are in the log again")
