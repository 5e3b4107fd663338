"""What the documents show is what happens: every Python block and every ``$ soma`` line is run.

The blocks of one document run in their order, in one namespace and one empty folder which is also the home.
A block of ``text output`` states what the block before it prints; what stands under a ``$ soma`` line states
what the command prints. ``...`` stands for anything, white space counts once.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts),
]
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)

SOMA = re.compile(r"(SOMA_\w+=\S+\s+(\\\n\s*)?)*soma ")


@dataclass(frozen=True, slots=True)
class Block:
    info: str
    body: str
    line: int


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found["info"].strip(), found["body"], text.count("\n", 0, found.start("body")))
        for found in FENCE.finditer(text)
    ]


def require_output(where: str, want: str, got: str) -> None:
    agrees = doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert agrees, f"{where} states\n{want}\nand prints\n{got}"


def run_command(where: str, command: str, want: str, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"PATH": path, "HOME": str(folder), "COLUMNS": "100"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{where}: {command} ended with {done.returncode}: {done.stderr}"
    if want.strip():
        require_output(f"{where}: {command}", want, done.stdout)


def run_document(name: str, text: str, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    for block in blocks_of(text):
        where = f"{name}, line {block.line}"
        language, *marks = block.info.split() or [""]
        if block.info == "text output":
            assert printed is not None, f"{where}: no Python block stands before this output"
            require_output(where, block.body, printed)
        printed = None
        if language == "python":
            assert not marks, f"{where}: a Python block is run as it stands, {marks} is not known"
            code = compile("\n" * block.line + block.body, name, "exec", dont_inherit=True)
            with redirect_stdout(StringIO()) as out:
                exec(code, namespace)
            printed = out.getvalue()
        elif language in {"console", "bash"}:
            for command, want in COMMAND.findall(block.body):
                if SOMA.match(command):
                    run_command(where, command, want, folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_snippet_does_what_its_document_says(document: Path, folder: Path) -> None:
    run_document(document.name, document.read_text("utf-8"), folder)


FENCED = "```python\nx = 2\n```\ntext\n```python\nprint(x * 3)\n```\n"


def test_the_blocks_of_a_document_share_one_namespace(folder: Path) -> None:
    run_document("made up", FENCED + "```text output\n6\n```\n", folder)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (FENCED + "```text output\n7\n```\n", "states"),
        ("```python no-run\nx = 1\n```\n", "no-run"),
        ("```text output\n7\n```\n", "no Python block"),
        ("```console\n$ soma no-such-command\n```\n", "no-such-command"),
    ],
)
def test_a_document_that_says_something_else_is_refused(text: str, complaint: str, folder: Path) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run_document("made up", text, folder)


def test_an_error_names_the_line_of_the_document(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        run_document("made up", "# title\n\n```python\nx = 1\nx / 0\n```\n", folder)
    assert raised.traceback[-1].lineno == 4  # pytest counts from 0


def test_commands_are_read_with_what_they_print() -> None:
    found = COMMAND.findall('$ soma remember \\\n  "a b"\n1 stored\n\n$ make demo\n$ soma stats\n')
    assert found == [('soma remember \\\n  "a b"', "1 stored\n\n"), ("make demo", ""), ("soma stats", "")]
