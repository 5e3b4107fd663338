"""Completion as a shell does it: the script in a real bash, what it offers, and what it does not load."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import soma
from property_tests.cli.test_commands import run
from soma.cli import homes

HEAVY = ("numpy", "scipy", "pandas", "matplotlib", "soma_export", "onnxruntime", "redis")
LOADED = """
import json, sys
from soma.cli import main
try:
    main(prog_name="soma")
finally:
    print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ``soma`` that is this one."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "soma"
    program.write_text(f"#!{sys.executable}\nfrom soma.cli import main\nmain(prog_name='soma')\n")
    program.chmod(0o755)
    return folder


def completed(bin_folder: Path, *words: str, **environment: str) -> list[str]:
    """Return what bash offers for the last word, after it has read what ``soma completion bash`` prints."""
    array = " ".join(map(shlex.quote, words))
    script = (
        f"source <(soma completion bash); complete -p soma > /dev/null || exit 3; COMP_WORDS=({array})\n"
        f'COMP_CWORD={len(words) - 1}; _soma_completion soma; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SOMA_", "_SOMA"))}
    path = os.pathsep.join([str(bin_folder), clean["PATH"]])
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**clean, **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_bash_completes_commands_options_namespaces_presets_and_choices(bin_folder: Path, tmp_path: Path) -> None:
    for name in ("letters", "lab", "clock"):
        with soma.open(tmp_path / "store", namespace=name) as memory:
            memory.remember("x")
    store = {"SOMA_PATH": str(tmp_path / "store")}
    assert completed(bin_folder, "soma", "re") == [name for name in sorted(homes()) if name.startswith("re")]
    assert completed(bin_folder, "soma", "policy", "") == ["diff", "fit", "show"]
    assert completed(bin_folder, "soma", "recall", "--as") == ["--as-of"]
    assert completed(bin_folder, "soma", "stats", "-n", "l", **store) == ["lab", "letters"]
    there = ("-p", str(tmp_path / "store"))
    assert completed(bin_folder, "soma", "stats", *there, "--namespace", "") == ["clock", "lab", "letters"]
    assert completed(bin_folder, "soma", "policy", "show", "me") == ["memorybank", "memorybank_code"]
    assert completed(bin_folder, "soma", "policy", "fit", "--curve", "wick") == ["wickelgren"]


@pytest.mark.parametrize("name", ["typo", "folder", "broken"])
def test_where_no_store_can_be_read_nothing_is_offered_and_nothing_made(
    name: str, bin_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name != "typo":
        path.mkdir()
    if name == "broken":
        (path / "soma.sqlite3").write_bytes(b"no database" * 100)
    before = sorted(tmp_path.rglob("*"))
    assert completed(bin_folder, "soma", "stats", "-n", "", SOMA_PATH=str(path)) == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "loaded"), [(["soma", "re"], []), (["soma", "--de"], []), (["soma", "stats", "-n", ""], ["numpy"])]
)
def test_a_key_that_is_pressed_loads_little(words: list[str], loaded: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *HEAVY],
        env=os.environ
        | {"_SOMA_COMPLETE": "bash_complete", "COMP_WORDS": shlex.join(words), "COMP_CWORD": str(len(words) - 1)}
        | {"SOMA_PATH": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stderr) == loaded


@pytest.mark.parametrize(("shell", "sign"), [("zsh", "#compdef soma"), ("fish", "complete --no-files --command soma")])
def test_other_shells_get_their_script_and_what_it_asks_for(
    shell: str, sign: str, bin_folder: Path, tmp_path: Path
) -> None:
    assert sign in run("completion", shell, cwd=tmp_path).stdout
    done = subprocess.run(
        [bin_folder / "soma"],
        env=os.environ
        | {"_SOMA_COMPLETE": f"{shell}_complete", "COMP_WORDS": "soma fore", "COMP_CWORD": "1"}
        | ({"COMP_CWORD": "fore"} if shell == "fish" else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "plain" in done.stdout
    assert "forecast" in done.stdout


def test_another_shell_is_refused(tmp_path: Path) -> None:
    done = run("completion", "tcsh", cwd=tmp_path)
    assert done.returncode == 2
    assert "'tcsh' is not one of" in done.stderr
