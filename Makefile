# The two commands of the README, and exactly what CI runs: `make demo` and `make test`.
# A machine needs Python >= 3.11, git and make; everything else goes into $(VENV) and nowhere else.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
HYPOTHESIS_PROFILE ?= ci
# Not in the lock, for only `make mutants` needs it; another version makes other mutants.
MUTMUT := 3.8.1
# Processes that share the test files; production's servers are started in one of them.
JOBS ?= 2

BIN := $(VENV)/bin
UV := $(VENV)/bootstrap/bin/uv
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-for-demo
BENCH := $(VENV)-bench
BENCH_STAMP := $(BENCH)/.installed
REAL ?= $(BENCH)/real_vectors.npy
NOTEBOOKS := --nbval --nbval-current-env --nbval-cell-timeout=120 --nbval-sanitize-with notebooks/nbval_sanitize.cfg
TESTS := --doctest-modules soma export/soma_export property_tests

# A bare shell may lack a home; caches then live and die with the environment.
HOME ?= $(abspath $(VENV))/home
# Bytecode is written as modules are first imported: compiling all of it costs 15 s, never having it 2 s a start.
unexport PYTHONDONTWRITEBYTECODE
# The environment is $(VENV), whatever the shell has activated.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
export HOME HYPOTHESIS_PROFILE
export UV_SYSTEM_CERTS ?= true
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# One thread a process: the arrays of the tests are small, and sums keep one order.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
# A kernel chooses its own: any other leaves a notebook without its figures.
unexport MPLBACKEND
# One list of fonts for each environment: one that another environment has left may name none of ours.
export MPLCONFIGDIR := $(abspath $(VENV))/matplotlib

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types contracts tests notebooks lock bench chaos mutants wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(DEMO_STAMP)  ## create the environment, then run soma demo on this repository
	@$(BIN)/soma demo

test: lint types contracts  ## create the environment, then run every check that CI runs
	$(BIN)/python -m pytest --numprocesses=$(JOBS) $(NOTEBOOKS) $(TESTS) notebooks

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

contracts: $(STAMP)  ## import-linter: who may import whom
	$(BIN)/lint-imports --no-logo

tests: $(STAMP)  ## laws and doctests; HYPOTHESIS_PROFILE=dev|ci|thorough
	$(BIN)/python -m pytest --numprocesses=$(JOBS) $(TESTS)

notebooks: $(STAMP)  ## run the notebooks and compare their outputs
	$(BIN)/python -m pytest $(NOTEBOOKS) notebooks

lock: $(STAMP)  ## resolve requirements.lock anew after a change of pyproject.toml; LOCK_FLAGS=--upgrade for newer versions
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes \
	  --no-header --no-annotate $(LOCK_FLAGS) -o requirements.lock

bench: $(BENCH_STAMP)  ## measure the ratios of benchmarks/REPORT.md against peers (20 minutes, 16 more for vectors); REAL=FILE.npy, its vectors
	test -f $(REAL) || $(BENCH)/bin/python benchmarks/real_vectors.py $(REAL)
	for script in state spacing index memory; do $(BENCH)/bin/python benchmarks/bench_$$script.py || exit 1; done
	$(BENCH)/bin/python benchmarks/bench_recall.py --real $(REAL)
	$(BENCH)/bin/python benchmarks/report.py

chaos: $(STAMP)  ## kill workers and servers while 100,000 events are taken (minutes); SEED=7 KILLS=200
	$(BIN)/python -m property_tests.export.chaos --events 100000 --kills $(or $(KILLS),200) --seed $(or $(SEED),7)

mutants: $(STAMP)  ## change soma.math at random, and list what no test notices (an hour); SAMPLE=30 SEED=7
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || \
	  { if [ -x $(UV) ]; then $(UV) pip install --quiet --python $(BIN)/python mutmut==$(MUTMUT); \
	    else $(BIN)/python -m pip install --quiet mutmut==$(MUTMUT); fi; }
	$(BIN)/python -m property_tests.mutation --sample $(or $(SAMPLE),30) --seed $(or $(SEED),7)

wheel: $(STAMP)  ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

clean:  ## remove the environment and everything that tools have left
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An interpreter without packages, and uv beside it: the one on PATH, else the one that requirements.lock pins.
# Where uv cannot be had, pip stands in for it.
$(VENV)/.python:
	@test -n "$(PYTHON)" || { \
	  echo "soma needs Python >= 3.11: install one, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "soma needs Python >= 3.11: $(PYTHON) is none, name another with PYTHON=/path/to/python3" >&2; exit 1; }
	@mkdir -p $(VENV)/bootstrap/bin
	@$(PYTHON) -m venv --without-pip $(VENV)
	@if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then ln -sf "$$(command -v uv)" $(UV); \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip --version >/dev/null 2>&1; then \
	  if $(PYTHON) -m pip --version >/dev/null 2>&1; then pip="$(PYTHON) -m pip"; \
	  else $(BIN)/python -m ensurepip >/dev/null && pip="$(BIN)/python -m pip"; fi; \
	  awk '/^[^ ]/ { of_uv = /^uv==/ } of_uv' requirements.lock >$(VENV)/bootstrap/requirements.txt; \
	  $$pip install --quiet --no-compile --upgrade --require-hashes --target $(VENV)/bootstrap \
	    -r $(VENV)/bootstrap/requirements.txt || { \
	  echo "uv could not be installed, pip takes its place (slower)" >&2; $(BIN)/python -m ensurepip >/dev/null; }; \
	else \
	  echo "$(PYTHON) has neither pip nor ensurepip: run 'apt-get install python3-venv', or put uv on PATH" >&2; \
	  exit 1; \
	fi
	@touch $@

# Every package of the lock, each checked against its hash.
$(STAMP): pyproject.toml requirements.lock | $(VENV)/.python
	@echo "installing into $(VENV)" >&2
	@if [ -x $(UV) ]; then \
	  $(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock && \
	  $(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .; \
	else \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .; \
	fi
	@$(BIN)/python -c 'import matplotlib.font_manager'  # lists the fonts, which a notebook would tell of
	@touch $(DEMO_STAMP) $@

# The same and the peers, which nothing but benchmarks needs.
$(BENCH_STAMP): benchmarks/requirements.txt $(STAMP)
	@echo "installing into $(BENCH)" >&2
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	@$(BIN)/uv pip sync --quiet --python $(BENCH)/bin/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --no-deps -r benchmarks/requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --no-build-isolation --no-deps --editable .
	@touch $@

# The third of them that the demo needs: 4 s from an empty cache instead of 13.
$(DEMO_STAMP): pyproject.toml requirements.lock | $(VENV)/.python
	@if [ -x $(UV) ]; then \
	  echo "installing into $(VENV)" >&2; \
	  $(UV) pip install --quiet --python $(BIN)/python --require-hashes --constraints requirements.lock \
	    -r pyproject.toml --extra embed --group demo && \
	  $(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .; \
	else \
	  $(MAKE) --no-print-directory $(STAMP); \
	fi
	@touch $@
