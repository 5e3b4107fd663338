"""The rules of the house hold, and each goes red when it is broken on purpose."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
import zipfile
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import soma
import soma_export

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
PACKAGES = {"soma": ROOT / "soma", "soma_export": ROOT / "export" / "soma_export"}
CODE_FOLDERS = ("soma", "export", "property_tests", "benchmarks", "experiments", "docs", "notebooks")


def run(*command: object, cwd: Path = ROOT, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


# Who may import whom


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with both packages and the contracts, to be broken."""
    for name, source in PACKAGES.items():
        shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> tuple[int, str]:
    done = run(BIN / "lint-imports", "--no-logo", "--no-cache", cwd=folder, PYTHONPATH=str(folder), COLUMNS="200")
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def plants(contract: dict[str, Any]) -> dict[str, list[str]]:
    """Return for each module to plant the modules that it imports and may not."""
    if contract["type"] == "layers":
        (house,) = contract["containers"]
        floors = [re.sub(r"[()\s]", "", floor).split("|") for floor in contract["layers"]]
        existing = [[name for name in floor if (PACKAGES[house] / name).is_dir()] for floor in floors]
        packages = [names for names in existing if names]
        below = {name: packages[i - 1][0] for i, names in enumerate(packages) if i for name in names}
        beside = {names[0]: names[1] for names in packages if len(names) > 1}
        return {
            f"{house}.{lower}.planted_{'below' if pairs is below else 'beside'}": [f"{house}.{higher}"]
            for pairs in (below, beside)
            for lower, higher in pairs.items()
        }
    packages = [source for source in contract["source_modules"] if is_package(source)]
    return {
        f"{source}.{folder}planted": contract["forbidden_modules"]
        for source in packages
        for folder in (("", "cli.", "state.") if source == "soma" else ("",))
    } | {source: contract["forbidden_modules"] for source in contract["source_modules"] if source not in packages}


def is_package(module: str) -> bool:
    package, *rest = module.split(".")
    return PACKAGES[package].joinpath(*rest).is_dir()


def test_every_contract_is_kept(copy: Path) -> None:
    status, said = lint_imports(copy)
    assert status == 0, said
    assert said.count(" KEPT") == len(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_forbidden_import_breaks_its_contract(contract: str, copy: Path) -> None:
    planted = plants(CONTRACTS[contract])
    assert planted
    for module, imports in planted.items():
        path = copy.joinpath(*module.split(".")).with_suffix(".py")
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(f"import {name}\n" for name in imports))
    status, said = lint_imports(copy)
    assert status != 0
    assert f"{CONTRACTS[contract]['name']} BROKEN" in said
    missing = [f"{a} -> {b}" for a, imports in planted.items() for b in imports if f"- {a} -> {b} (" not in said]
    assert not missing, f"allowed: {missing}"


@pytest.mark.parametrize("house", PACKAGES)
def test_a_module_without_a_floor_breaks_the_layers(house: str, copy: Path) -> None:
    (copy / house / "attic.py").touch()
    status, said = lint_imports(copy)
    assert status != 0
    assert "attic" in said


IMPORT_AND_LIST = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def test_import_soma_loads_numpy_and_nothing_else() -> None:
    done = run(sys.executable, "-c", IMPORT_AND_LIST.format(module="soma"))
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert loaded - sys.stdlib_module_names <= {"soma", "numpy"}
    assert not loaded & {"sqlite3", "asyncio", "multiprocessing", "socketserver", "http", "xml", "unittest"}


# No clock and no generator in the pure folders, no pickle anywhere

BANNED_IN_PURE_FOLDERS = [
    "import time",
    "from time import monotonic",
    "import random",
    "from datetime import datetime\n\nNOW = datetime.now()",
    "import datetime\n\nTODAY = datetime.date.today()",
    "import numpy as np\n\nRNG = np.random.default_rng()",
    "from numpy.random import default_rng",
    "from uuid import uuid4",
]


def ruff_codes(path: str, source: str) -> set[str]:
    done = run(
        BIN / "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "json",
        "--stdin-filename",
        path,
        "-",
        stdin=source,
    )
    return {found["code"] for found in json.loads(done.stdout)}


@pytest.mark.parametrize("source", BANNED_IN_PURE_FOLDERS)
def test_a_clock_or_a_generator_is_refused_in_the_pure_folders_only(source: str) -> None:
    assert "TID251" in ruff_codes("soma/math/planted.py", source)
    assert "TID251" in ruff_codes("soma/state/planted.py", source)
    assert "TID251" not in ruff_codes("soma/ingest/planted.py", source)


@pytest.mark.parametrize("path", ["soma/math/planted.py", "soma/planted.py", "export/soma_export/planted.py"])
def test_the_linter_refuses_to_read_a_pickle(path: str) -> None:
    assert "S301" in ruff_codes(path, "import pickle\n\nVALUE = pickle.loads(b'')\n")


UNSAFE_MODULES = set(CONTRACTS["json-first"]["forbidden_modules"]) | {"_pickle", "cPickle"}
UNSAFE_CALLS = {"read_pickle", "to_pickle", "load_pickle", "dump_pickle"}
UNSAFE_PAIRS = {("joblib", "dump"), ("joblib", "load"), ("torch", "load"), ("torch", "save")}


def unsafe_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (a.name for a in names if a.name.partition(".")[0] in UNSAFE_MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in UNSAFE_MODULES:
                    yield module
                yield from (f"{module}.{a.name}" for a in names if (module, a.name) in UNSAFE_PAIRS)
                yield from (a.name for a in names if a.name in UNSAFE_MODULES | UNSAFE_CALLS)
            case ast.Attribute(value=ast.Name(id=left), attr=right) if (left, right) in UNSAFE_PAIRS:
                yield f"{left}.{right}"
            case ast.Attribute(attr=attribute) if attribute in UNSAFE_CALLS | UNSAFE_MODULES:
                yield attribute
            case ast.keyword(arg="allow_pickle", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield "allow_pickle"
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ) if module.partition(".")[0] in UNSAFE_MODULES:
                yield module


def python_sources() -> Iterator[tuple[str, str]]:
    """Yield every piece of Python in the tree: modules, code cells, blocks of the documents."""
    paths = [path for folder in CODE_FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    for path in [*paths, *sorted(ROOT.glob("*.md"))]:
        name = str(path.relative_to(ROOT))
        if path.suffix == ".py":
            yield name, path.read_text("utf-8")
        elif path.suffix == ".md":
            text = path.read_text("utf-8")
            yield from (
                (name, body) for body in re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            )
        elif path.suffix == ".ipynb" and ".ipynb_checkpoints" not in path.parts:
            cells = json.loads(path.read_text("utf-8"))["cells"]
            for cell in cells:
                if cell["cell_type"] == "code" and not "".join(cell["source"]).startswith("%%"):
                    yield name, re.sub(r"^\s*[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)


def test_no_pickle_anywhere() -> None:
    sources = list(python_sources())
    assert len(sources) > 30
    found = {(name, what) for name, source in sources for what in unsafe_in(ast.parse(source, name))}
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "from dill import dumps",
        "import shelve",
        "import marshal",
        "import joblib\njoblib.dump(1, 'x')",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "frame.to_pickle('x')",
        "from pandas import read_pickle",
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=flag)",
        "__import__('pickle')",
        "importlib.import_module('cPickle')",
        "from pandas.compat import pickle",
        "from six.moves import cPickle",
    ],
)
def test_a_pickle_by_any_name_is_found(source: str) -> None:
    assert list(unsafe_in(ast.parse(source)))


@pytest.mark.parametrize("source", ["x = 'no pickle anywhere'", "np.load('x', allow_pickle=False)", "import joblib"])
def test_prose_and_safe_calls_are_no_pickle(source: str) -> None:
    assert not list(unsafe_in(ast.parse(source)))


# Size and shape


def modules() -> list[str]:
    return [
        found.name
        for package in (soma, soma_export)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]


MODULES = ["soma", "soma_export", *modules()]


@pytest.mark.parametrize("folder", ["soma", "export", "property_tests"])
def test_no_module_is_longer_than_500_lines(folder: str) -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    print(f"{folder}: {len(lengths)} modules, median {statistics.median(lengths.values())} lines")  # pytest -rP
    assert not {path: length for path, length in lengths.items() if length > 500}


def test_no_two_modules_are_called_utils() -> None:
    assert not [name for name in MODULES if re.search(r"\.(utils?|helpers?|common|misc)$", name)]


def parameters_of(value: Any) -> list[str]:
    """Return what a caller may pass to a public function or class."""
    if inspect.isclass(value):
        if issubclass(value, Enum) or getattr(value, "_is_protocol", False) or inspect.isabstract(value):
            return []
        if dataclasses.is_dataclass(value):
            return [field.name for field in dataclasses.fields(value) if field.init]
        if "__init__" not in vars(value):
            return []
        value = value.__init__
    return [name for name in inspect.signature(value).parameters if name not in ("self", "draw")]


def is_documentable(value: Any) -> bool:
    ours = str(getattr(value, "__module__", "")).startswith("soma")
    return ours and (inspect.isclass(value) or inspect.isroutine(value))


# Rooms that no user enters: parts of a public module, adapters behind a protocol, commands that document themselves.
# Everything in them has a docstring; what a user meets of them is documented in full where it is offered.
INNER = re.compile(
    r"soma\.(math\.(domain|space_filling|policy_\w+|decay_\w+|importance_\w+)|state\.(fields|frozen|features)|stores\.\w+|cli\.\w+|embedded)"
)


def defects(module: str, name: str, value: Any) -> Iterator[str]:
    document = inspect.cleandoc(value.__doc__ or "")
    if not document:
        yield f"{module}.{name} has no docstring"
        return
    if INNER.fullmatch(module):
        return
    sections = set(re.findall(r"^(\w[\w ]*)\n-{3,}$", document, re.MULTILINE))
    if parameters_of(value) and "Parameters" not in sections:
        yield f"{module}.{name} does not document its parameters"
    of_mathematics = module.startswith("soma.math.") and inspect.isroutine(value)
    if of_mathematics and ("Examples" not in sections or ">>> " not in document):
        yield f"{module}.{name} shows no example"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_exists_and_is_documented(module: str) -> None:
    loaded = importlib.import_module(module)
    assert (loaded.__doc__ or "").strip(" .\n"), f"{module} does not say what it is for"
    found = {name: getattr(loaded, name) for name in getattr(loaded, "__all__", ())}
    wrong = [
        defect for name, value in found.items() if is_documentable(value) for defect in defects(module, name, value)
    ]
    assert not wrong, "\n".join(wrong)


def test_an_undocumented_name_is_found() -> None:
    def bare(x: float) -> float:
        return x

    def half(x: float) -> float:
        """Return ``x``."""
        return x

    assert list(defects("soma.math.made_up", "bare", bare)) == ["soma.math.made_up.bare has no docstring"]
    assert len(list(defects("soma.math.made_up", "half", half))) == 2
    assert len(list(defects("soma.state.made_up", "half", half))) == 1
    assert len(list(defects("soma.stores.made_up", "bare", bare))) == 1


# What is shipped, and what is locked


def test_the_wheel_holds_both_packages_and_nothing_else(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(Path(name) / path.relative_to(folder))
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert any(name.endswith("0001_memories.sql") for name in sources)
    assert sources <= held
    assert {name.partition("/")[0] for name in held} == {
        *PACKAGES,
        f"{wheel.name.split('-py3')[0]}.dist-info",
    }
    assert any(name.endswith("/licenses/LICENSE") for name in held)


def test_the_lock_pins_every_requirement_with_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.findall(
        r"^(\S+?)(?:\[.*?\])?==(\S+)([^\n]*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+)", text, re.MULTILINE
    )
    assert len(entries) == len(re.findall(r"^[^ \n#]", text, re.MULTILINE))
    assert "://" not in text
    pinned: dict[str, list[str]] = {}
    for name, version, _ in entries:
        pinned.setdefault(canonicalize_name(name), []).append(version)
    project = PROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    for requirement in (Requirement(line) for group in groups for line in group):
        if requirement.name != project["name"]:
            versions = pinned[canonicalize_name(requirement.name)]
            assert all(version in requirement.specifier for version in versions), requirement


def test_the_version_is_said_once() -> None:
    version = PROJECT["project"]["version"]
    assert soma.__version__ == version
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_hook_before_a_commit_is_local() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert set(re.findall(r"repo: *(\S+)", hooks)) == {"local"}
    assert run(BIN / "pre-commit", "validate-config", ROOT / ".pre-commit-config.yaml").returncode == 0


def test_make_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    helped = set(re.findall(r"^make (\w+) ", run("make", "--no-print-directory", "help").stdout, re.MULTILINE))
    assert helped == set(phony.split())


# CI refuses to skip


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_test_that_did_not_run_fails_ci_only(ci: str, status: int, tmp_path: Path) -> None:
    shutil.copy(ROOT / "property_tests" / "conftest.py", tmp_path)
    tests = {"ok": "pass", "skip": "pytest.skip('no server')", "xfail": "pytest.xfail('later')"}
    source = "\n\n".join(f"def test_{name}():\n    {body}\n" for name, body in tests.items())
    (tmp_path / "test_it.py").write_text(f"import pytest\n\n{source}", "utf-8")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path)
    done = run(*command, cwd=tmp_path, CI=ci, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == status, done.stdout
    assert ("CI refuses to skip, and 2 tests did not run" in done.stdout) is (status == 1)
