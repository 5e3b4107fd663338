"""Profiles: ``dev`` is fast, ``ci`` derandomised, ``ci-again`` the same but short, ``thorough`` searches longer.

Choose one with ``HYPOTHESIS_PROFILE``; ``make test`` chooses ``ci``.
Under ``CI=true`` a run in which anything was skipped fails: a check that did not run has not passed.

Evaluation data are no part of the project: ``SOMA_SHARED_DATA`` says where they are, if not in ``../shared/data``.
Where there are none, the tests that take the fixture ``shared_data`` are deselected, and the header of the run says so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.scheduler import LoadScopeScheduling

# Without the explain phase, which once took 90 s to explain.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)

settings.register_profile("dev", max_examples=50, deadline=None, phases=PHASES)
settings.register_profile(
    "ci",
    max_examples=150,
    deadline=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
# On a second Python: what differs there shows in a few examples; the search was done on the first.
settings.register_profile("ci-again", parent=settings.get_profile("ci"), max_examples=40)
settings.register_profile("thorough", max_examples=2_000, deadline=None, phases=PHASES)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


PRODUCTION: Final = ("export/", "property_tests/export/", "notebooks/12")

SHARED_DATA = Path(os.environ.get("SOMA_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the evaluation data."""
    return SHARED_DATA


def pytest_report_header() -> str:
    return f"evaluation data: {'in ' + str(SHARED_DATA) if SHARED_DATA.is_dir() else 'none, set SOMA_SHARED_DATA'}"


class ByFile(LoadScopeScheduling):
    """A file's tests stay in one process, as the cells of a notebook must; those of production share their servers."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "production" if path.startswith(PRODUCTION) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if SHARED_DATA.is_dir():
        return
    without = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    unrun = [report for outcome in ("skipped", "xfailed") for report in reporter.stats.get(outcome, ())]
    if unrun:
        reporter.ensure_newline()
        reporter.line(f"CI refuses to skip, and {len(unrun)} tests did not run: see the summary", red=True)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
