"""``soma lab`` with a real JupyterLab: it answers from the folder that was named, and ends when it is told to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from property_tests.cli.test_commands import run

NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
TOKEN = "a-token-of-the-test"
WITHOUT_LAB = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "jupyterlab" else found(name, *rest)
from soma.cli import main
main()
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def got(port: int, path: str, process: subprocess.Popen[str]) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"token {TOKEN}"})
    until = time.monotonic() + 60.0
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which Jupyter reads and writes nowhere else."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "HOME")
    folders = {name: tmp_path / "home" / name.lower() for name in names}
    for folder in folders.values():
        folder.mkdir(parents=True)
    return {name: str(folder) for name, folder in folders.items()}


def test_jupyterlab_answers_from_the_notebooks_and_ends_when_it_is_told_to(
    home: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "mine.ipynb").write_text(NOTEBOOK)
    port = free_port()
    more = ["--allow-root", f"--IdentityProvider.token={TOKEN}"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from soma.cli import main; main()", "lab", "--no-browser", "--port", str(port), *more],
        cwd=tmp_path,
        env=os.environ | home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert got(port, "/api/status", process)["kernels"] == 0
        listed = got(port, "/api/contents", process)["content"]
        assert [one["name"] for one in listed] == ["mine.ipynb"]
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert told.startswith(f"JupyterLab on {tmp_path / 'notebooks'}\n")


def test_what_it_does_not_know_goes_on_to_jupyter_with_its_exit_code(home: dict[str, str], tmp_path: Path) -> None:
    done = run("lab", tmp_path, "--version", cwd=tmp_path, **home)
    assert (done.returncode, done.stdout[0].isdigit()) == (0, True)
    assert run("lab", "--port", "0", cwd=tmp_path, **home).returncode == 2


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    done = run("lab", tmp_path / "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_jupyterlab_the_extra_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LAB, "lab"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == 'soma: soma lab needs the package jupyterlab: pip install "soma-fractal-memory[lab]"\n'
