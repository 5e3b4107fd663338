"""The bench measures the same work everywhere, and leaves nothing behind."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from soma.cli import main
from soma.errors import StoreError
from soma_export import bench
from soma_export.bench import bench_workers
from soma_export.database import connect
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment


def left_behind(settings: ExportSettings) -> list[str]:
    with connect(settings) as store:
        rows = store.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench%'").fetchall()
    topics = Deployment(settings).log.admin.list_topics(timeout=10).topics
    return [name for (name,) in rows] + [name for name in topics if "bench_" in name]


def test_the_command_prints_rates_of_the_same_work_and_cleans_up(
    settings: ExportSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMA_KAFKA_BOOTSTRAP", settings.kafka)
    monkeypatch.setenv("SOMA_POSTGRES_DSN", settings.postgres)
    monkeypatch.setenv("SOMA_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setattr(bench, "PROBES_PER_S", 100.0)
    arguments = ["--events", "600", "--batch", "100", "--repeat", "1", "--json"]
    result = CliRunner().invoke(main, ["export", "bench", "workers", *arguments])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["n_events"] == found["n_sample"] == 600
    assert 900 < found["event_bytes"] < 1_200
    assert all(rate > 0 for name in bench.RATES for rate in found[name])
    assert found["of_one_by_one"] == pytest.approx(found["worker_per_s"][0] / found["one_by_one_per_s"][0], rel=0.02)
    assert 0 < found["visible_p50_ms"] <= found["visible_p99_ms"]
    assert found["about"]["postgres"]["fsync"] in ("on", "off")
    assert left_behind(settings) == []


def test_a_peer_that_does_other_work_is_not_measured(settings: ExportSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    right = bench.row_of

    def wrong(*parts: object) -> tuple[object, ...]:
        row = list(right(*parts))  # type: ignore[arg-type]
        row[2] = 7  # the version
        return tuple(row)

    monkeypatch.setattr(bench, "row_of", wrong)
    with pytest.raises(StoreError, match="rows of memories are not those of the worker"):
        bench_workers(settings, n_events=100, n_rounds=1, n_probes=1)
    assert left_behind(settings) == []
