"""The reference names everything that there is, and nothing that there is not; links lead somewhere."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import soma
from soma.cli import main

ROOT = Path(__file__).parents[2]
COMMANDS = (ROOT / "docs/reference/commands.md").read_text("utf-8")
PYTHON = (ROOT / "docs/reference/python.md").read_text("utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#([^)]+))?\)")


def commands(group: click.Group = main, path: str = "soma") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_in_the_reference(path: str, command: click.Command) -> None:
    assert f"`{path}" in COMMANDS
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
    assert not [option for option in options if f"`{option}`" not in COMMANDS]


def test_the_reference_invents_no_option() -> None:
    known = {
        option
        for _, command in commands()
        for parameter in [*command.params, *main.params]
        for option in parameter.opts
        if option.startswith("-")
    }
    assert set(re.findall(r"`(--?[a-z][a-z-]*)`", COMMANDS)) <= known | {"--help", "-h"}


def test_every_public_name_is_in_the_reference() -> None:
    assert not [name for name in soma.__all__ if f"`soma.{name}`" not in PYTHON]


def test_the_reference_invents_no_name() -> None:
    for name in re.findall(r"`soma\.([\w.]+)`", PYTHON):
        if name not in soma.__all__:
            importlib.import_module(f"soma.{name}")


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text("utf-8")):
        found = (document.parent / target).resolve()
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"
