"""Make REPORT.md and its figures of what the benchmarks have written to results/: ``python benchmarks/report.py``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).parent
BARS = {  # (half-life, peer): how many times as fast soma is to be
    ("soma (fast)", "T/12", "faiss"): 25.0,
    ("soma (fast)", "T/12", "numpy"): 50.0,
    ("soma (fast)", "T/4", "faiss"): 10.0,
    ("soma (fast)", "none", "faiss"): 2.5,
    ("soma (fast)", "none", "numpy"): 5.0,
    ("soma (numpy)", "T/12", "numpy"): 10.0,
    ("soma (fast)", "power, T/100", "numba"): 10.0,
}


def main() -> None:
    """Read, draw, write."""
    recall = json.loads((FOLDER / "results" / "recall.json").read_text("utf-8"))
    index, memory = (
        json.loads((FOLDER / "results" / f"{name}.json").read_text("utf-8")) for name in ("index", "memory")
    )
    scaling_figure(recall["scaling"])
    text = [
        "# Exact recall, measured",
        "",
        "Made by `make bench`, that is `python benchmarks/report.py` of what the scripts have written to `results/`.",
        "",
        f"`{recall['command']}`; {recall['machine']}.",
        "",
        "Each system runs in a process of its own, on one thread; the systems take turns. Times are medians of the",
        "processor's time. Every answer is first compared with that of float64 scores over all rows: `equal` says",
        "whether all of them are that, `recall` the share of the right rows. Peers are given the rows' decayed weights",
        "for nothing. hnswlib and qdrant-edge (m = 16, ef = 100 to build, 200 to search) and usearch with its defaults",
        "give the 100 nearest rows, which are then ranked by their weighted scores. Where other work shares the",
        "machine, its memory bus and caches are shared too: trust ratios, not milliseconds.",
        "",
        *bars(recall),
        *ratios(recall["ratios"]),
        *visited(recall["ratios"]),
        *scaling(recall["scaling"]),
        *the_rest(index),
        *from_end_to_end(memory),
        *on_paper(),
    ]
    (FOLDER / "REPORT.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def systems_of(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a row's systems by name."""
    return {system["system"]: system for system in row["systems"]}


def bars(recall: dict[str, Any]) -> list[str]:
    """Return which ratios are reached."""
    lines = [
        "## Bars",
        "",
        "| what | rows | vectors | peer | at least | reached | |",
        "| --- | ---: | --- | --- | ---: | ---: | --- |",
    ]
    for row in [*recall["ratios"], *recall["scaling"]]:
        found, setting = systems_of(row), row["setting"]
        for (system, label, peer), least in BARS.items():
            if setting["half_life_fraction"] == label and {system, peer} <= found.keys() and setting["n"] >= 100_000:
                ratio = found[peer]["ms_per_query"] / found[system]["ms_per_query"]
                verdict = "met" if ratio >= least else "missed"
                lines.append(
                    f"| {system}, half-life {label} | {setting['n']:,} | {row['vectors']} | {peer} | {least:g} x | "
                    f"{ratio:.1f} x | {verdict} |"
                )
    few, n = min(sizes(recall["scaling"])), max(sizes(recall["scaling"]))
    fixed = series(recall["scaling"], "T/12", "soma (fast)")[few]
    limit = next(row["stream_ms"]["codes"] for row in recall["scaling"] if row["setting"]["n"] == n)
    naive = series(recall["scaling"], "none", "numpy")[n]
    return [
        *lines,
        "",
        "What stands in the way of those that are missed: without decay every code is read, and to read those of",
        f"{n:,} rows takes {limit:.1f} ms here, so that no such scan is more than {naive / limit:.1f} times as fast",
        f"as NumPy's {naive:.0f} ms. With decay a query has a part that does not shrink with what is read,",
        f"{fixed:.2f} ms at {few:,} rows: a hundred calls of NumPy, which bound the weights, score the rows that are",
        "left as the policy says, and find their features. The caches hold the other systems when each of them comes.",
        "Codes that lie apart come slower than a stream. In pure NumPy vectors are read as float32, four bytes instead",
        "of one.",
        "",
    ]


def ratios(rows: list[dict[str, Any]]) -> list[str]:
    """Return a table for each setting."""
    lines = ["## Soma and its peers", ""]
    for row in rows:
        setting = row["setting"]
        lines += [
            f"### {setting['n']:,} rows of {row['vectors']} vectors, d = {setting['dimension']}, half-life "
            f"{setting['half_life_fraction']}, k = {setting['k']}",
            "",
            "| system | version | equal | recall | ms a query | time / soma's | visited | bytes a row |",
            "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for one in row["systems"]:
            share = "-" if one["visited_fraction"] is None else f"{one['visited_fraction']:.3f}"
            size = "-" if one["bytes_per_row"] is None else f"{one['bytes_per_row']:,.0f}"
            lines.append(
                f"| {one['system']} | {one['version']} | {'yes' if one['equal'] else 'no'} | {one['recall']:.3f} | "
                f"{one['ms_per_query']:.3f} | {one['ratio']:.1f} | {share} | {size} |"
            )
        lines.append("")
    return lines


def from_end_to_end(memory: dict[str, Any]) -> list[str]:
    """Return what the embedded memory costs, with its records and its log."""
    storing, recalling = memory["storing"], memory["recalling"]
    return [
        "## The embedded memory",
        "",
        "Storing waits for the disk, and is measured on the clock; by hand is one insert into SQLite with",
        "`synchronous=FULL` and one upsert into the Qdrant client's local store, of the same records.",
        "",
        "| what | soma, ms | by hand, ms | times by hand | at most |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| one memory of 1 KB with its vector | {storing['ms']['soma']:.2f} | {storing['ms']['by hand']:.2f} | "
        f"{storing['ratio']:.2f} | 1.5 |",
        f"| 1,000 at once | {storing['ms']['soma, 1,000']:,.0f} | {storing['ms']['by hand, 1,000']:,.0f} | "
        f"{storing['ratio_of_1000']:.2f} | 1.2 |",
        "",
        f"`Memory.recall` of {recalling['memories']:,} memories, with records and features, half-life T/12:",
        f"{recalling['soma_ms']:.2f} ms, {recalling['search']}. The points alone in qdrant-edge: "
        f"{recalling['qdrant_edge_ms']:.2f} ms,",
        f"with a recall of {recalling['qdrant_edge_recall']:.2f} of the exact answer.",
        "",
    ]


def visited(rows: list[dict[str, Any]]) -> list[str]:
    """Return the visited fraction by half-life."""
    lines = [
        "## Visited by half-life",
        "",
        "| half-life | vectors | rows | compiled | NumPy |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        found = systems_of(row)
        shares = [f"{found[name]['visited_fraction']:.3f}" for name in ("soma (fast)", "soma (numpy)")]
        setting = row["setting"]
        lines.append(
            f"| {setting['half_life_fraction']} | {row['vectors']} | {setting['n']:,} | {shares[0]} | {shares[1]} |"
        )
    return [*lines, ""]


def scaling(rows: list[dict[str, Any]]) -> list[str]:
    """Return how cost grows with the rows."""
    lines = [
        "## How cost grows",
        "",
        "![Milliseconds a query against rows, with the streaming limit](images/scaling.png)",
        "",
        "The slope is that of the logarithm of the time against the logarithm of the rows, over the last two sizes;",
        "the streaming limit is the time in which NumPy adds up the bytes of all rows.",
        "",
        "| half-life | system | " + " | ".join(f"{n:,}" for n in sizes(rows)) + " | slope |",
        "| --- | --- |" + " ---: |" * (len(sizes(rows)) + 1),
    ]
    for label in dict.fromkeys(row["setting"]["half_life_fraction"] for row in rows):
        for system in ("soma (fast)", "soma (numpy)", "numpy"):
            points = series(rows, label, system)
            if len(points) < 2:
                continue
            cells = [f"{points[n]:.3f}" if n in points else "-" for n in sizes(rows)]
            lines.append(f"| {label} | {system} | {' | '.join(cells)} | {slope(points):.2f} |")
    for kind in ("float32", "codes"):
        limit = {row["setting"]["n"]: row["stream_ms"][kind] for row in rows}
        cells = [f"{limit[n]:.3f}" for n in sizes(rows)]
        lines.append(f"| | streaming limit, {kind} | {' | '.join(cells)} | {slope(limit):.2f} |")
    return [*lines, ""]


def sizes(rows: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of rows that were measured."""
    return sorted({row["setting"]["n"] for row in rows})


def series(rows: list[dict[str, Any]], label: str, system: str) -> dict[int, float]:
    """Return milliseconds by number of rows."""
    chosen = [row for row in rows if row["setting"]["half_life_fraction"] == label]
    return {row["setting"]["n"]: systems_of(row)[system]["ms_per_query"] for row in chosen if system in systems_of(row)}


def slope(points: dict[int, float]) -> float:
    """Return the exponent of growth over the last two sizes."""
    (n, a), (m, b) = sorted(points.items())[-2:]
    return math.log(b / a) / math.log(m / n)


def scaling_figure(rows: list[dict[str, Any]]) -> None:
    """Draw time against rows."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    limits = {kind: {row["setting"]["n"]: row["stream_ms"][kind] for row in rows} for kind in ("float32", "codes")}
    for ax, system in zip(axes, ("soma (fast)", "soma (numpy)"), strict=True):
        for label in dict.fromkeys(row["setting"]["half_life_fraction"] for row in rows):
            points = series(rows, label, system)
            if len(points) > 1:
                ax.plot(list(points), list(points.values()), marker="o", label=f"half-life {label}")
        naive = series(rows, "none", "numpy")
        ax.plot(list(naive), list(naive.values()), color="black", marker=".", label="numpy: X @ q, argpartition")
        kind = "codes" if system == "soma (fast)" else "float32"
        ax.plot(list(limits[kind]), list(limits[kind].values()), "k--", label=f"streaming limit ({kind})")
        ax.set(xscale="log", yscale="log", xlabel="memories", title=system)
        ax.grid(visible=True, alpha=0.3)
        ax.legend(fontsize=7)
    axes[0].set_ylabel("milliseconds a query, one thread")
    (FOLDER / "images").mkdir(exist_ok=True)
    figure.savefig(FOLDER / "images" / "scaling.png", dpi=110, metadata={"Software": None})


def the_rest(index: dict[str, Any]) -> list[str]:
    """Return what else the index does."""
    saved, held = index["saved"], index["saved"]["bytes_per_row"]
    lines = [
        "## Many queries at once",
        "",
        "Answers compared first; milliseconds a query of the processor's time.",
        "",
        "| half-life | kernels | alone | among 64 | times as fast |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in index["batch"]:
        alone, among = row["alone_ms"], row["among_64_ms"]
        kernels = "compiled" if row["compiled"] else "NumPy"
        lines.append(f"| {row['half_life']} | {kernels} | {alone:.3f} | {among:.3f} | {alone / among:.1f} |")
    lines += [
        "",
        f"## Files, memory and threads, at {saved['rows']:,} rows",
        "",
        f"* Saving took {saved['save_s']:.1f} s, opening {saved['open_ms']:.1f} ms, the first query, which reads and",
        f"  checks what it touches, {saved['first_query_ms']:,.0f} ms.",
        f"* In memory: {held['in memory']:,.0f} bytes a row, {held['in memory'] / 1e3:.3f} GB a million;",
        f"  mapped: {held['mapped']:,.0f} bytes a row.",
        "* One query, asked again and again, of rows whose importance is Beta(2, 4):",
        *(f"  half-life {name}: {ms:.2f} ms on the clock;" for name, ms in saved["wall_ms"].items()),
        f"* The kernels are loaded, numba included, in {index['compiling']['later_s']:.1f} s of the processor's time;",
        f"  the first time on a machine they are compiled, in {index['compiling']['first_s']:.1f} s.",
        "",
    ]
    return lines


def on_paper() -> list[str]:
    """Return what a hundred million memories would take: arithmetic, not measured."""
    return [
        "## A hundred million memories, on paper",
        "",
        "Not measured. At 384 numbers a row the codes take 40 GB and the exact rows 154 GB. Segments are searched",
        "apart and their answers merged by score and id, so that a namespace can be dealt to machines by time: four,",
        "with 10 GB of codes each, answer without decay in the time that one takes for 25 million memories (the slope",
        "above is 1), and one copy more of each costs the same memory again. With a half-life of T/12 a tenth is read,",
        "and nearly all of it lies on the machine of the newest memories.",
        "",
    ]


if __name__ == "__main__":
    main()
