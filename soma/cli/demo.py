"""``soma demo``: the main job on real input, the git history of a repository, in about ten seconds."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import click
import numpy as np

from soma import __version__
from soma.cli.memories import recall_to_dict
from soma.cli.options import as_json, print_json
from soma.embedding import Embedder, HashingEmbedder, StaticEmbedder
from soma.errors import ConfigurationError, InvalidParameterError, StoreError
from soma.factory import open as open_store
from soma.ingest import commits_as_memories, load
from soma.math.dimension import DimensionEstimate, two_nn
from soma.math.units import WEEK, YEAR
from soma.memory import Memory
from soma.state.consolidation import Scales
from soma.state.events import MemoryRecalled
from soma.state.instant import to_iso
from soma.state.recall import Hit, headline
from soma.state.transition import fold

__all__ = ["demo"]

QUERIES: Final = (
    "a bug was fixed",
    "tests and continuous integration",
    "documentation for new users",
    "make it faster",
    "the first version",
)
FEWEST_VECTORS: Final = 20
"""From fewer, the error of their dimension is above a fifth of it."""

N_VECTORS: Final = 1_000
SCALES: Final = Scales(tau_s=WEEK)
QUARTERS_S: Final = (YEAR / 4, YEAR / 2, 3 * YEAR / 4)


@click.command()
@click.argument("repository", default=".", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(min=1), default=5_000, show_default=True, help="At most so many commits.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write.  [default: runs/demo-TIME, in this folder]",
)
@as_json
def demo(repository: Path, limit: int, out: Path | None, is_json: bool) -> None:
    """Remember the git history of REPOSITORY, recall from it, move the clock a year on, and draw what fades."""
    started = time.perf_counter()
    now_s = time.time()
    episodes = commits_as_memories(repository, limit=limit, latest_s=now_s)
    folder = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S", time.gmtime(now_s)) if out is None else out
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder} is not empty: choose another folder with --out")
    embedder, why = best_embedder()
    with open_store(folder / "store", namespace="demo", embedder=embedder, clock=lambda: now_s) as memory:
        done = load(memory, episodes)
        recalls = [memory.recall(query, k=3) for query in QUERIES]
        best = max(recalls, key=lambda hits: hits[0].score)
        later = a_year_on(memory, str(best.query), now_s)
        times_s = sorted(record.timestamp for record in memory)
        middle_s = times_s[len(times_s) // 2]
        shape = dimension_of(memory)
        coarser = memory.consolidate(SCALES, now=now_s + YEAR, dry_run=True)
        files = draw(memory, str(best.query), folder)
        summary = {
            "repository": str(repository),
            "n_memories": done.n_new,
            "embedder": embedder.revision,
            "recalls": [recall_to_dict(hits) for hits in recalls],
            "a_year_on": [{"title": row.title, **row.scores} for row in later],
            "dimension": None if shape is None else shape.to_dict(),
            "consolidation": coarser.to_dict(),
            "files": files,
        }
    manifest = {"soma": __version__, "now": now_s, "limit": limit, **summary}
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2), encoding="utf-8")
    seconds = time.perf_counter() - started
    if is_json:
        print_json({**summary, "seconds": round(seconds, 3)})
        return
    click.echo(f"{done.n_new:,} commits of {repository} are remembered, embedded by {embedder.revision}: {why}.\n")
    for hits in recalls:
        click.echo(f"{hits!r}\n")
    click.echo(f"Why the first hit for {str(best.query)!r}: every part of its score\n\n{best.explain(0)!r}\n")
    click.echo(f"The clock moves a year on, for {str(best.query)!r}. All fade; a recall a quarter keeps the first.\n")
    click.echo("   today  year on  year on, recalled")
    for row in later:
        click.echo(
            "  {today:.4f}   {unrecalled:.4f}             {recalled:.4f}".format(**row.scores) + f"  {row.title}"
        )
    if shape is not None:
        click.echo(f"\nThe vectors have {embedder.dimension} numbers, and vary in {shape} dimensions.")
    click.echo(f"Consolidated a year on, {coarser}. Nothing was written.")
    click.echo("\nWritten: " + ", ".join([*files, str(folder / "manifest.json")]))
    click.echo(f"Done in {seconds:.1f} s. Next:\n")
    store = shlex.join(["-n", "demo", "-p", str(folder / "store")])
    click.echo(f'  {program()} recall "who changed the tests?" --explain {store}')
    click.echo(f'  {program()} recall "{best.query}" --as-of {to_iso(middle_s)} {store}')
    click.echo(f"  {program()} stats {store}")


def program() -> str:
    """Return how to call the command line from here."""
    beside = Path(sys.executable).with_name("soma")
    return "soma" if shutil.which("soma") else os.path.relpath(beside)


def best_embedder() -> tuple[Embedder, str]:
    """Return the embedder that knows meaning if it is installed, else the one that knows words, and say which."""
    try:
        return StaticEmbedder(), "a static table: meaning counts"
    except ConfigurationError:
        return (
            HashingEmbedder(),
            'words and their parts count; for meaning: pip install "soma-fractal-memory[embed]"',
        )


def dimension_of(memory: Memory) -> DimensionEstimate | None:
    """Return in how many dimensions the vectors of the texts vary; None for too few, or all as far apart.

    At most `N_VECTORS` of them are taken, evenly over time: in so many dimensions each pair is compared.
    """
    records = sorted(memory, key=lambda record: record.timestamp)
    vectors = np.unique(memory.vectors(records[:: math.ceil(len(records) / N_VECTORS)]), axis=0)
    if len(vectors) < FEWEST_VECTORS:
        return None
    try:
        found = two_nn(vectors)
    except InvalidParameterError:  # no two share a word: none is nearer than another
        return None
    return found if found.value < vectors.shape[1] else None  # or only by rounding


@dataclass(frozen=True, slots=True)
class Later:
    """One hit of a recall: its record, and its score today, a year on, and a year on if it was recalled meanwhile."""

    hit: Hit
    scores: dict[str, float]

    @property
    def title(self) -> str:
        """The first words of the memory."""
        return headline(self.hit.record, 60)


def a_year_on(memory: Memory, query: str, now_s: float) -> list[Later]:
    """Return today's hits as they score in a year: as they are, and with the first recalled once a quarter.

    The second is a question of the kind "what if": a fold of today's state and three more events. Nothing is stored.
    """
    today = memory.recall(query)
    recalled = [
        MemoryRecalled(event_id=UUID(int=n), at_s=at_s, namespace=memory.namespace, id=today[0].record.id)
        for n, at_s in enumerate(now_s + after_s for after_s in QUARTERS_S)
    ]
    kept = fold(recalled, start=memory.as_of(now_s))
    scores = [
        {hit.record.id: hit.score for hit in memory.recall(query, k=len(memory), now=now_s + YEAR, state=state)}
        for state in (None, kept)
    ]
    return [
        Later(
            hit,
            {"today": hit.score, "unrecalled": scores[0][hit.record.id], "recalled": scores[1][hit.record.id]},
        )
        for hit in today
    ]


def draw(memory: Memory, query: str, folder: Path) -> list[str]:
    """Draw what was recalled, and how it fades and is kept, into two files; return their names."""
    from soma.lab import plots  # noqa: PLC0415 - matplotlib is loaded on first use

    hits = memory.recall(query)
    figures = {
        "recalled.png": plots.recall(hits).figure,
        "fading.png": plots.fading(hits, recalled_after_s=QUARTERS_S).figure,
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)  # type: ignore[union-attr]
    return [str(folder / name) for name in figures]
