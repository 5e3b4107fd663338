"""Links on the command line, in processes of their own."""

from __future__ import annotations

from pathlib import Path

from property_tests.cli.test_commands import answer, run
from soma import policy as p


def test_memories_are_linked_followed_and_unlinked(tmp_path: Path) -> None:
    store = ("-p", tmp_path / "store")
    alarm, fire, report = (
        answer("remember", text, "--json", *store, cwd=tmp_path)["id"] for text in ("the alarm", "the fire", "a report")
    )
    assert answer("link", fire, alarm, "-t", "caused", "-w", 0.9, "--json", *store, cwd=tmp_path)["weight"] == 0.9
    assert "linked" in run("link", alarm, report, "-t", "mentioned", "-w", 0.5, *store, cwd=tmp_path).stdout
    found = answer("neighbours", fire, "--hops", 2, "--json", *store, cwd=tmp_path)
    assert [(one["id"], one["hops"], one["strength"], one["title"]) for one in found] == [
        (alarm, 1, 0.9, "the alarm"),
        (report, 2, 0.45, "a report"),
    ]
    only = ("-t", "caused", "--min-weight", 0.8)
    assert [one["id"] for one in answer("neighbours", fire, "--hops", 2, *only, "--json", *store, cwd=tmp_path)] == [
        alarm
    ]
    assert [one["id"] for one in answer("neighbours", alarm, "-d", "in", "--json", *store, cwd=tmp_path)] == [fire]
    way = answer("path", fire, report, "--json", *store, cwd=tmp_path)
    assert [(one["source"], one["target"], one["type"]) for one in way] == [
        (fire, alarm, "caused"),
        (alarm, report, "mentioned"),
    ]
    (tmp_path / "linked.json").write_text(p.graph(direction="out").to_json())
    scored = ("recall", "anything", "--policy", tmp_path / "linked.json", "-k", 2)
    found = answer(*scored, "--focus", fire, "--json", *store, cwd=tmp_path)
    assert [hit["id"] for hit in found["hits"]] == [fire, alarm]
    assert "'in focus'" in run(*scored, "--focus", fire, "--explain", *store, cwd=tmp_path).stdout
    unfocused = run(*scored, *store, cwd=tmp_path)
    assert unfocused.returncode == 2
    assert unfocused.stderr.startswith("soma: query must have a focus, because the policy uses graph")
    told = run("path", report, fire, "-d", "both", *store, cwd=tmp_path).stdout.splitlines()
    assert told == [
        f"{report}  a report",
        "  <- mentioned 0.5",
        f"{alarm}  the alarm",
        "  <- caused 0.9",
        f"{fire}  the fire",
    ]
    assert "unlinked" in run("link", alarm, report, "-t", "mentioned", "--remove", *store, cwd=tmp_path).stdout
    nowhere = run("path", fire, report, *store, cwd=tmp_path)
    assert nowhere.returncode == 2
    assert (
        nowhere.stderr == f"soma: no way from {fire} to {report}: follow links in both directions, or of more types\n"
    )


def test_an_id_that_is_none_or_not_there_is_one_sentence(tmp_path: Path) -> None:
    store = ("-p", tmp_path / "store")
    one = answer("remember", "alone", "--json", *store, cwd=tmp_path)["id"]
    missing = "00000000-0000-4000-8000-00000000dead"
    for arguments in (
        ("link", one, missing),
        ("link", one, "nonsense"),
        ("link", one, one, "-w", -1),
        ("link", one, one, "--remove"),
        ("neighbours", missing),
        ("neighbours", one, "--hops", 0),
        ("neighbours", one, "--min-weight", -1),
        ("path", one, missing),
    ):
        done = run(*arguments, *store, cwd=tmp_path)
        assert done.returncode == 2, done
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("soma: ")
    assert run("neighbours", one, *store, cwd=tmp_path).stdout == ""
