"""``soma bench``: published comparisons, run on your own data."""

from __future__ import annotations

from pathlib import Path

import click

from soma.cli.options import as_json, print_json

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Compare models on data of your own."""


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
