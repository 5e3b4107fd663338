"""``soma plot``: the figures of the lab, of a store or of a policy, in a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from soma.cli.files import require_free, write_whole
from soma.cli.options import as_json, as_moment, open_memory, print_json, store_options
from soma.cli.sources import policy_named, presets_or_files
from soma.errors import ConfigurationError, InvalidParameterError, NotFoundError
from soma.math.importance import Ecdf, MinMax
from soma.math.policy_terms import Decay
from soma.math.units import DAY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from soma.lab.recall import LabRecall
    from soma.math.policy import Policy

__all__ = ["plot"]

Command = TypeVar("Command", bound=Callable[..., Any])
SUFFIXES: Final = (".png", ".svg")
DOTS_PER_INCH: Final = 110


def file_options(command: Command) -> Command:
    """Add the options that say where a figure goes."""
    for option in (
        as_json,
        click.option("--force", is_flag=True, help="Replace a file that is there."),
        click.option("--out", required=True, type=click.Path(path_type=Path), help="The file: .png or .svg."),
    ):
        command = option(command)
    return command


def recall_options(command: Command) -> Command:
    """Add what says which answer is drawn, of which store."""
    for option in (
        store_options,
        click.option("--as-of", help="Ask the memories of then: ISO 8601, or @N for a place in the log."),
        click.option("--now", help="Count ages to this time: ISO 8601."),
        click.option(
            "--policy",
            "source",
            default="default",
            show_default=True,
            shell_complete=presets_or_files,
            help="A file or preset.",
        ),
        click.option("-k", default=5, show_default=True, help="How many hits at most."),
        click.argument("query"),
    ):
        command = option(command)
    return command


until_option = click.option(
    "--until", default=365.0, show_default=True, type=click.FloatRange(0.0, min_open=True), help="Days on the axis."
)


@click.group()
def plot() -> None:
    """Draw a store or a policy into a file (extra lab)."""


@plot.command()
@recall_options
@file_options
def recall(out: Path, force: bool, is_json: bool, **asked: Any) -> None:
    """Draw the hits for QUERY: a bar for each score, and its factors as marks."""
    plots = drawing(out, force)
    save(plots.recall(answer_to(**asked)), out, is_json)


@plot.command()
@recall_options
@until_option
@file_options
def fading(until: float, out: Path, force: bool, is_json: bool, **asked: Any) -> None:
    """Draw how the scores of the hits for QUERY change while the clock moves on and nothing is recalled."""
    plots = drawing(out, force)
    save(plots.fading(answer_to(**asked), until_s=until * DAY), out, is_json)


@plot.command()
@store_options
@file_options
def importance(out: Path, force: bool, is_json: bool, **store: Any) -> None:
    """Draw what the namespace's scale makes of raw importance, and what scales learned from its memories would."""
    plots = drawing(out, force)
    with open_memory(**store, is_read_only=True) as memory:
        raw = [record.importance for record in memory]
        scale, name = memory.registration.importance_scale, memory.namespace
    if not raw:
        raise NotFoundError("memory", f"in namespace {name}", "remember one, or name another namespace with -n")
    scales = {f"{scale!r}, the namespace's": scale, "MinMax": MinMax().update(raw), "Ecdf": Ecdf().update(raw)}
    save(plots.normalisers(scales, raw), out, is_json)


@plot.command()
@click.argument("sources", metavar="[FILE|PRESET]...", nargs=-1, shell_complete=presets_or_files)
@until_option
@file_options
def curves(sources: tuple[str, ...], until: float, out: Path, force: bool, is_json: bool) -> None:
    """Draw the forgetting curves of policies: of the default without a name."""
    plots = drawing(out, force)
    found = {}
    for source in sources or ("default",):
        for number, node in enumerate(decays(policy_named(source))):
            found[f"{Path(source).name}{f' ({number + 1})' if number else ''}: {node.curve!r}"] = node.curve
    if not found:
        raise InvalidParameterError("policy", ", ".join(sources), "must hold a forgetting curve")
    save(plots.curves(found, until_s=until * DAY), out, is_json)


def drawing(out: Path, is_forced: bool) -> ModuleType:
    """Return the module that draws, or raise: before the work, if the file cannot be made."""
    if out.suffix not in SUFFIXES:
        raise InvalidParameterError("out", str(out), f"must end with {' or '.join(SUFFIXES)}")
    require_free(out, is_forced)
    try:
        from soma.lab import plots  # noqa: PLC0415 - matplotlib is loaded on first use
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"soma plot needs the package {error.name}", 'pip install "soma-fractal-memory[lab]"'
        ) from None
    return plots


def answer_to(query: str, k: int, source: str, now: str | None, as_of: str | None, **store: Any) -> LabRecall:
    """Return what is recalled, or raise where there is nothing."""
    with open_memory(**store, is_read_only=True) as memory:
        moment = None if as_of is None else as_moment(as_of)
        hits = memory.recall(query, k=k, policy=policy_named(source), now=now, as_of=moment)
        name = memory.namespace
    if not len(hits):
        raise NotFoundError("memory", f"in namespace {name}", "remember one, or name another namespace with -n")
    return hits


def decays(policy: Policy) -> list[Decay]:
    """Return the forgetting curves of a policy, from left to right."""
    below = [found for operand in policy.operands for found in decays(operand)]
    return [policy, *below] if isinstance(policy, Decay) else below


def save(axes: Axes, out: Path, is_json: bool) -> None:
    """Write a figure: the same data give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415 - see above

    content, kind = io.BytesIO(), out.suffix[1:]
    with mpl.rc_context({"svg.hashsalt": "soma"}):
        axes.figure.savefig(  # type: ignore[union-attr]  # it stands in a figure of ours
            content, format=kind, dpi=DOTS_PER_INCH, metadata={"Date": None} if kind == "svg" else None
        )
    write_whole(out, content.getvalue())
    if is_json:
        print_json({"file": str(out), "bytes": content.tell()})
    else:
        click.echo(str(out))
