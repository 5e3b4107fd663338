"""Mutants: `soma.math` changed in one place at a time, to see whether the tests notice.

``make mutants SAMPLE=60 SEED=7``. mutmut makes the changes. A process that has collected the tests and learned which of
them enter which function then forks for each change drawn, and runs those tests there, the fastest first, until one
fails. What survives is shown to mypy, and then searched longer. ``docs/explanation/mutants.md`` tells what came of it.

A run that was broken off goes on where it stood, in its folder of ``runs/``.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from bisect import bisect
from collections import defaultdict
from difflib import unified_diff
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
TESTS: Final = ("property_tests/math", "soma/math")
SEARCHES: Final = {"laws": (25, 5.0), "longer search": (150, 1.5)}
"""Examples a law, without shrinking; of the tests that enter a function the fastest, by seconds of the first search."""

TYPES: Final = "types"
MAX_BYTES: Final = 8 << 30
MAX_S: Final = 20.0
"""Seconds for the tests of one change, and beside them ten times what those tests take without it."""


class Judge:
    """A plugin of pytest: learns which test enters which function, then forks for every mutant."""

    def __init__(self, folder: Path, verdict: str, names: list[str]) -> None:
        self.folder, self.verdict, self.names = folder, verdict, names
        self.entered: set[str] = set()

    def pytest_configure(self, config: pytest.Config) -> None:
        from hypothesis import HealthCheck, Phase, settings
        from mutmut.mutation import trampoline

        trampoline.record_trampoline_hit = lambda name, caller=None: self.entered.add(name)
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        settings.register_profile(
            "mutants",
            max_examples=SEARCHES[self.verdict][0],
            derandomize=True,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if "__mutmut_" not in item.name]  # the docstrings of the mutants themselves

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        seen, tests = self._seen(session), defaultdict(list)
        for item, (seconds, functions) in zip(session.items, seen["tests"], strict=True):
            for function in functions:
                tests[function].append((seconds, item))
        with (self.folder / f"{self.verdict}.jsonl").open("a", buffering=1) as log:
            for name in self.names:
                function = name.rpartition("__mutmut_")[0]
                chosen = sorted(tests[function], key=lambda pair: pair[0])
                ends = accumulate(seconds for seconds, _ in chosen)
                chosen = chosen[: bisect(list(ends), SEARCHES[self.verdict][1])]
                row = {"name": name, "notice": self._fork(session, name, chosen), "n_tests": len(chosen)}
                log.write(json.dumps(row | {"at_import": function in seen["at_import"]}) + "\n")
        return True

    def _seen(self, session: pytest.Session) -> dict[str, Any]:
        """Return which functions each test enters, and in how many seconds it passes; learned once."""
        file = self.folder / "seen.json"
        if not file.exists():
            at_import, tests = sorted(self.entered), []
            for item in session.items:
                self.entered.clear()
                begun = time.perf_counter()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if session.testsfailed:
                    raise pytest.UsageError(f"{item.nodeid} fails without any change")
                tests.append((time.perf_counter() - begun, sorted(self.entered)))
            file.write_text(json.dumps({"at_import": at_import, "tests": tests}))
        return dict(json.loads(file.read_text()))

    def _fork(self, session: pytest.Session, name: str, chosen: list[tuple[float, pytest.Item]]) -> str | None:
        """Return how the change was noticed; None if it was not."""
        if child := os.fork():
            patience = 10.0 * SEARCHES[self.verdict][0] / SEARCHES["laws"][0]
            end = time.monotonic() + MAX_S + patience * sum(seconds for seconds, _ in chosen)
            while time.monotonic() < end:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    return None if status == 0 else self.verdict if os.WIFEXITED(status) else "crash"
                time.sleep(0.005)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "time-out"
        code = 3
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
            os.environ["MUTANT_UNDER_TEST"] = name
            for _, item in chosen:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if session.testsfailed:
                    break
            code = int(session.testsfailed > 0)
        finally:
            os._exit(code)


def draw(copy: Path, sample: int, seed: int) -> dict[str, Any]:
    """Put all mutants into a copy of the tree; return those drawn, the modules in turn, and how many each has."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    drawn, sizes = [], {}
    for path in sorted((copy / "soma" / "math").glob("*.py")):
        file, module = mutate_file_contents(str(path), path.read_text()), f"soma.math.{path.stem}"
        path.write_text(file.code)
        names, lines = list(file.mutant_names), file.code.splitlines()
        if names:
            sizes[module] = len(names)
        random.Random(f"{seed} {module}").shuffle(names)  # a larger sample holds the smaller one
        for turn, name in enumerate(names[:sample]):
            spans = [file.line_span_by_function_name[each] for each in (name.rpartition("_")[0] + "_orig", name)]
            before, after = ([" ".join(line.split()) for line in lines[s.start - 1 : s.end]] for s in spans)
            change = [
                line for line in unified_diff(before, after, n=0, lineterm="") if re.match("[+-](?![+-]{2})", line)
            ]
            change = [line for line in change if not re.match(r".def \w+__mutmut_", line)]
            drawn.append({"turn": turn, "module": module, "name": f"{module}.{name}", "change": change})
    return {"mutants": sorted(drawn, key=lambda mutant: mutant["turn"]), "sizes": sizes}


def convicted_by_types(copy: Path, folder: Path, names: set[str]) -> set[str]:
    """Return those in whose function mypy finds an error, and none in the function without the change."""
    shutil.rmtree(typed := folder / "typed", ignore_errors=True)
    shutil.copytree(copy, typed)
    owners: dict[tuple[str, int], str] = {}
    for path in (typed / "soma" / "math").glob("*.py"):
        lines = path.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                whole, name = range(first, (node.end_lineno or 0) + 1), f"soma.math.{path.stem}.{node.name}"
                if name in names or name.endswith("_orig"):
                    owners |= {(path.stem, at): name for at in whole}
                else:
                    lines[whole.start - 1 : whole.stop - 1] = [""] * len(whole)
        path.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--output", "json", "-p", "soma.math"]
    report = subprocess.run(command, cwd=typed, capture_output=True, text=True, check=False).stdout
    errors = [json.loads(line) for line in report.splitlines()]
    found = {owners.get((Path(each["file"]).stem, each["line"]), "") for each in errors if each["severity"] == "error"}
    return {name for name in names & found if name.rpartition("_")[0] + "_orig" not in found}


def wilson(k: float, n: float) -> tuple[float, float]:
    """Return the interval in which a share lies for 95 of 100 samples."""
    z2 = 1.959964**2
    middle, half = k + z2 / 2, math.sqrt(z2 * (k * (n - k) / n + z2 / 4))
    return (middle - half) / (n + z2), (middle + half) / (n + z2)


def table(drawn: list[dict[str, Any]], sizes: dict[str, int]) -> list[str]:
    """Return rows of Markdown: by module, and all of them weighted by how many mutants each has."""
    rows, share, variance = ["| module | mutants | drawn | by types | survive | killed |", "| --- " * 6 + "|"], 0.0, 0.0
    for module, size in [*sizes.items(), ("", sum(sizes.values()))]:
        notices = [mutant["notice"] for mutant in drawn if module in ("", mutant["module"])]
        n, killed, weight = len(notices), sum(map(bool, notices)), size / sum(sizes.values())
        if module:
            low, high = (killed / n,) * 2 if n == size else wilson(killed, n)
            near = (killed + 1.0) / (n + 2.0)  # so that a module without survivors has a variance too
            variance += weight**2 * near * (1.0 - near) / n * (1.0 - n / size)
            share += weight * (part := killed / n)
        else:
            low, part, high = (share + z * math.sqrt(variance) for z in (-1.96, 0.0, 1.96))
        name = f"`{module.removeprefix('soma.math.')}`" if module else "all, by size"
        counts = f"{size:,} | {n:,} | {notices.count(TYPES)} | {n - killed}"
        rows.append(f"| {name} | {counts} | {part:.1%} ({low:.1%} to {min(high, 1.0):.1%}) |")
    return rows


def rows_of(log: Path) -> dict[str, dict[str, Any]]:
    """Return what a search has found so far, by the names of the mutants."""
    lines = log.read_text().splitlines() if log.exists() else []
    return {row["name"]: row for row in map(json.loads, lines)}


def judge(folder: Path, verdict: str) -> None:
    """Go on with one search, in the copy."""
    names, done = json.loads((folder / "left.json").read_text()), rows_of(folder / f"{verdict}.jsonl")
    args = ["-q", "-p", "no:cacheprovider", "--tb=no", "--doctest-modules", *TESTS]
    sys.exit(pytest.main(args, plugins=[Judge(folder, verdict, [name for name in names if name not in done])]))


def main() -> None:
    """Draw, judge, and print the table and what survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=30, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--judge", nargs=2, metavar=("FOLDER", "VERDICT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.judge:
        judge(Path(options.judge[0]), options.judge[1])
    folder = ROOT / "runs" / f"mutants-{options.sample}-{options.seed}"
    copy, plan = folder / "copy", folder / "plan.json"
    if not plan.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("soma", "property_tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        plan.write_text(json.dumps(draw(copy, options.sample, options.seed)))
    drawn = json.loads(plan.read_text())
    mutants: list[dict[str, Any]] = drawn["mutants"]
    environment = {"SOMA_SHARED_DATA": str(ROOT.parent / "shared" / "data"), **os.environ}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # forks and threads do not mix
    for verdict in ("laws", TYPES, "longer search"):
        left = [mutant["name"] for mutant in mutants if not mutant.get("notice")]
        if verdict == TYPES:
            rows = {name: {"notice": TYPES} for name in convicted_by_types(copy, folder, set(left))}
        else:
            (folder / "left.json").write_text(json.dumps(left))
            command = [sys.executable, "-m", "property_tests.mutation", "--judge", str(folder), verdict]
            if subprocess.run(command, cwd=copy, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
                sys.exit(f"the tests do not pass without any change: mend them, and remove {folder}")
            rows = rows_of(folder / f"{verdict}.jsonl")
        for mutant in mutants:
            mutant.update(rows.get(mutant["name"], {}))
    (folder / "judged.json").write_text(json.dumps(mutants, ensure_ascii=False, indent=1))
    print("\n".join(table(mutants, drawn["sizes"])), "\n")
    for mutant in mutants:
        if not mutant["notice"]:
            print(mutant["name"], *mutant["change"], sep="\n    ")


if __name__ == "__main__":
    main()
