"""``soma link``, ``neighbours`` and ``path``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import click

from soma.cli.options import as_json, open_memory, print_json, store_options
from soma.math.policy_terms import Direction
from soma.memory import Memory
from soma.state.links import LinkGraph
from soma.state.recall import headline
from soma.state.record import Link

__all__ = ["link", "neighbours", "path"]

Command = TypeVar("Command", bound=Callable[..., Any])


def link_options(command: Command) -> Command:
    """Add the options that say which links are followed, and which way."""
    for option in (
        click.option("--min-weight", default=0.0, show_default=True, help="Only links of at least this weight."),
        click.option(
            "--type", "-t", "types", multiple=True, help="Only links of this type; may be given several times."
        ),
        click.option(
            "--direction",
            "-d",
            type=click.Choice(["out", "in", "both"]),
            default="out",
            show_default=True,
            help="From source to target, back, or either.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--type", "-t", "link_type", default="related", show_default=True, help="What the link means.")
@click.option("--weight", "-w", default=1.0, show_default=True, help="How strong it is.")
@click.option("--remove", is_flag=True, help="Remove the link instead.")
@store_options
@as_json
def link(source: str, target: str, link_type: str, weight: float, remove: bool, is_json: bool, **store: Any) -> None:
    """Link the memory SOURCE to the memory TARGET, by their ids, or set the weight of their link."""
    with open_memory(**store) as memory:
        if remove:
            memory.unlink(source, target, link_type)
        else:
            memory.link(source, target, link_type, weight)
    if is_json:
        end = {} if remove else {"weight": weight}
        print_json({"source": source, "target": target, "type": link_type, "is_removed": remove, **end})
    else:
        click.echo(f"{'unlinked' if remove else 'linked'} {source} {link_type} {target}")


@click.command()
@click.argument("id")
@click.option("--hops", default=1, show_default=True, help="How many links to follow at most.")
@link_options
@store_options
@as_json
def neighbours(
    id: str, hops: int, direction: Direction, types: tuple[str, ...], min_weight: float, is_json: bool, **store: Any
) -> None:
    """List the memories that links lead to from ID: the nearest first, then the strongest."""
    with open_memory(**store, is_read_only=True) as memory:
        start = memory.retrieve(id).record.id
        found = graph_of(memory, direction, types, min_weight).neighbours(start, n_hops=hops)
        titles = titles_of(memory, [one.id for one in found])
    if is_json:
        print_json(
            [
                {"id": str(one.id), "hops": one.n_hops, "strength": one.strength, "title": titles[one.id]}
                for one in found
            ]
        )
        return
    for one in found:
        click.echo(f"{one.n_hops:>3}  {one.strength:.4f}  {one.id}  {titles[one.id]}")


@click.command()
@click.argument("source")
@click.argument("target")
@link_options
@store_options
@as_json
def path(
    source: str,
    target: str,
    direction: Direction,
    types: tuple[str, ...],
    min_weight: float,
    is_json: bool,
    **store: Any,
) -> None:
    """Show the way of fewest links from SOURCE to TARGET; of several, the strongest."""
    with open_memory(**store, is_read_only=True) as memory:
        start, end = (record.id for record in memory.records([source, target]))
        way = graph_of(memory, direction, types, min_weight).path(start, end)
        stations = stations_of(start, way)
        titles = titles_of(memory, stations)
    if is_json:
        print_json([link_to_dict(one) for one in way])
        return
    click.echo(f"{stations[0]}  {titles[stations[0]]}")
    for one, station in zip(way, stations[1:], strict=True):
        arrow = "->" if one.target == station else "<-"
        click.echo(f"  {arrow} {one.type} {one.weight:g}\n{station}  {titles[station]}")


def graph_of(memory: Memory, direction: Direction, types: tuple[str, ...], min_weight: float) -> LinkGraph:
    """Return the links that the options name."""
    return memory.graph(direction).only(types=types or None, min_weight=min_weight)


def stations_of(source: UUID, way: tuple[Link, ...]) -> list[UUID]:
    """Return the memories on a way, both ends included."""
    stations = [source]
    for one in way:
        stations.append(one.target if one.source == stations[-1] else one.source)
    return stations


def titles_of(memory: Memory, ids: list[UUID]) -> dict[UUID, str]:
    """Return the first words of memories."""
    return {record.id: headline(record, 60) for record in memory.records(ids)}


def link_to_dict(one: Link) -> dict[str, Any]:
    """Return a link as JSON values."""
    ends = {"source": str(one.source), "target": str(one.target)}
    return {**ends, "type": one.type, "weight": one.weight, "at": one.at_s}
