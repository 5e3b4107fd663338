"""``soma bench``: published comparisons, run on your own data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from soma.cli.options import as_json, print_json

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Compare models on data of your own, and soma with its peers."""


@bench.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV with card_id, review_rating, review_time, and review_duration if there is one.",
)
@click.option("--seed", default=0, show_default=True, help="Of the intervals.")
@as_json
def decay(data: Path, seed: int, is_json: bool) -> None:
    """Print how well each model predicts the reviews in DATA from those before them (minutes)."""
    import numpy as np  # noqa: PLC0415 - a command loads what it needs

    from soma.lab.decay_bench import leaderboard  # noqa: PLC0415
    from soma.lab.reviews import read_reviews  # noqa: PLC0415

    table = leaderboard(read_reviews(data), rng=np.random.default_rng(seed))
    if is_json:
        print_json([row.to_dict() for row in table])
        return
    click.echo(f"{'model':<16}{'params':>7}{'log loss':>10}{'rmse':>8}{'auc':>7}   behind the first (95 %)")
    for row in table:
        behind = f"{row.behind:.4f} ({row.behind_low:+.4f} to {row.behind_high:+.4f})" if row.behind else "-"
        click.echo(
            f"{row.model:<16}{row.params:>7}{row.log_loss:>10.4f}{row.rmse_bins:>8.4f}{row.auc:>7.3f}   {behind}"
        )
    click.echo(f"{table[0].n_events:,} events; each fifth of the log predicted from what was before it")


@bench.command()
@click.option("--n", default=100_000, show_default=True, help="Memories.")
@click.option("--dim", default=384, show_default=True, help="Numbers in a vector.")
@click.option(
    "--half-life-fraction",
    default=1 / 12,
    show_default="1/12",
    help="Half-life as a share of the memories' time span; inf for no decay.",
)
@click.option("--k", default=10, show_default=True, help="Hits asked for.")
@click.option("--queries", default=10, show_default=True, help="Queries.")
@click.option("--rounds", default=5, show_default=True, help="How often each query is asked of each system.")
@click.option("--system", "systems", multiple=True, help="Only these, such as numpy; else all that are installed.")
@click.option("--seed", default=0, show_default=True, help="Of the memories.")
@as_json
def recall(
    n: int,
    dim: int,
    half_life_fraction: float,
    k: int,
    queries: int,
    rounds: int,
    systems: tuple[str, ...],
    seed: int,
    is_json: bool,
) -> None:
    """Print the time of an exact recall in soma and in its peers, whose answers are compared first."""
    from soma.bench.recall_run import measure  # noqa: PLC0415 - a command loads what it needs
    from soma.bench.recall_task import RecallTask, Setting  # noqa: PLC0415

    setting = Setting(n, dim, k, half_life_fraction, n_queries=queries, seed=seed)
    found = measure(
        RecallTask.made(setting), systems, n_rounds=rounds, progress=None if is_json else partial(click.echo, err=True)
    )
    if is_json:
        print_json([row.to_dict() for row in found])
        return
    click.echo(f"{'system':<14}{'ms/query':>10}{'ratio':>8}  {'equal':<6}{'recall':>7}{'visited':>9}{'bytes/row':>11}")
    for row in found:
        visited = "-" if row.visited_fraction is None else f"{row.visited_fraction:.3f}"
        size = "-" if row.bytes_per_row is None else f"{row.bytes_per_row:,.0f}"
        click.echo(
            f"{row.system:<14}{row.ms_per_query:>10.3f}{row.ratio:>8.1f}  {'yes' if row.equal else 'no':<6}"
            f"{row.recall:>7.3f}{visited:>9}{size:>11}"
        )
