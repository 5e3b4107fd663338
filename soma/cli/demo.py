"""``soma demo``: the main job on real input, the git history of a repository, in about ten seconds."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from soma import __version__
from soma.cli.memories import recall_to_dict
from soma.cli.options import as_json, print_json
from soma.embedding import Embedder, HashingEmbedder, StaticEmbedder
from soma.errors import ConfigurationError, StoreError
from soma.factory import open as open_store
from soma.ingest import commits_as_memories, load
from soma.lab.recall import LabRecall
from soma.math.units import DAY, YEAR
from soma.memory import Memory
from soma.state.instant import to_iso

__all__ = ["demo"]

QUERIES: Final = (
    "a bug was fixed",
    "tests and continuous integration",
    "documentation for new users",
    "make it faster",
    "the first version",
)
N_RECALLS: Final = 3


@dataclass(frozen=True, slots=True)
class Faded:
    """One hit of the first recall: its score now, a year on, and a year on if it is recalled meanwhile."""

    title: str
    today: float
    year_on: float
    year_on_recalled: float


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
        faded = fade(memory, QUERIES[0], now_s)
        figures = draw(memory, QUERIES[0], folder)
        summary = {
            "repository": str(repository),
            "n_memories": done.n_new,
            "embedder": embedder.revision,
            "recalls": [recall_to_dict(hits) for hits in recalls],
            "fading": [
                {
                    "title": f.title,
                    "today": f.today,
                    "year_on": f.year_on,
                    "year_on_recalled": f.year_on_recalled,
                }
                for f in faded
            ],
            "files": [str(path) for path in figures],
        }
    manifest = {
        "soma": __version__,
        "now": now_s,
        "argv": {"repository": str(repository), "limit": limit},
        **summary,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2), encoding="utf-8")
    if is_json:
        print_json({**summary, "seconds": round(time.perf_counter() - started, 3)})
        return
    click.echo(f"{done.n_new:,} commits of {repository} are remembered, embedded by {embedder.revision} ({why}).\n")
    for hits in recalls:
        click.echo(f"{told(hits)}\n")
    click.echo(f"Why the first one: every factor of its score\n\n{recalls[0].explain(0)!r}\n")
    click.echo(told_fading(faded))
    click.echo("\nWritten: " + ", ".join(str(path) for path in [*figures, folder / "manifest.json"]))
    store = folder / "store"
    click.echo(f"Done in {time.perf_counter() - started:.1f} s. Next:\n")
    click.echo(f'  soma recall "who changed the tests?" -n demo -p {store} --explain')
    click.echo(f'  soma recall "{QUERIES[0]}" -n demo -p {store} --as-of {to_iso(now_s - 7 * DAY)[:10]}')
    click.echo("  jupyter lab notebooks/01_first_memories.ipynb")


def best_embedder() -> tuple[Embedder, str]:
    """Return the embedder that knows meaning if it is installed, else the one that knows words, and say which."""
    try:
        return StaticEmbedder(), "a static table: meaning counts"
    except ConfigurationError:
        return (
            HashingEmbedder(),
            'words and their parts count; for meaning: pip install "soma-fractal-memory[embed]"',
        )


def fade(memory: Memory, query: str, now_s: float) -> tuple[LabRecall, MinimalSoma, MinimalSoma]:
    """Return today's hits, today's state, and the state if the first hit is recalled once a quarter for a year."""
    today = memory.recall(query, k=5)
    state = memory.as_of(now_s)
    recalled = [
        MemoryRecalled(
            event_id=uuid4(),
            at_s=now_s + quarter * YEAR / 4,
            namespace=memory.namespace,
            id=today[0].record.id,
        )
        for quarter in (1, 2, 3)
    ]
    return today, state, fold(recalled, start=state)
