# All that a developer or a new user types. Needs make and a Python from 3.11 to 3.13; everything else goes into .venv.
#   make demo PYTHON=/path/to/python3.12     to choose the Python oneself

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-cluster test-all check format bench clean

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
STAMP := $(VENV)/.installed
# A process per core, up to four: a test file stays in one, since its fixtures are runs that take seconds to make.
TEST_PROCESSES ?= auto
BENCH_JSON ?=
BENCH_COMPARE ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Each candidate is run, not only looked up: a pyenv shim exists also for versions that are not installed, and Debian
# ships a Python whose venv module cannot make a venv.
define FIND_PYTHON
for python in "$(PYTHON)" python3.13 python3.12 python3.11 python3 python; do \
  if [ -n "$$python" ] && "$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
      >/dev/null 2>&1; then found="$$python"; break; fi; \
  if [ -n "$(PYTHON)" ]; then break; fi; \
done
endef

# A .venv that works is kept and brought up to date; one whose Python is gone is made anew.
ifneq ($(wildcard $(STAMP)),)
ifneq ($(shell $(BIN)/python -c 'print("works")' 2>/dev/null),works)
.PHONY: $(STAMP)
endif
endif
$(STAMP): pyproject.toml constraints.txt
	@found=; $(FIND_PYTHON); \
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then \
	  if [ -z "$$found" ]; then \
	    echo "No usable Python $(if $(PYTHON),at $(PYTHON),found): install Python 3.11, 3.12 or 3.13 with its venv module (on Debian: apt install python3 python3-venv), or name one with make PYTHON=/path/to/python." >&2; \
	    exit 1; \
	  fi; \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV); \
	fi; \
	echo "Installing into $(VENV) ($$($(BIN)/python -V)), about two minutes the first time"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"; \
	echo "Compiling the kernels, once"; \
	$(BIN)/python -m mmm_core.warm_up; \
	touch $(STAMP)

install: $(STAMP) ## make .venv and install everything, pinned by constraints.txt

demo: $(STAMP) ## from the quickstart data to selected models and a budget plan
	@$(BIN)/mmm run experiments/quickstart.yaml

test: $(STAMP) ## the default test suite, on all cores (TEST_PROCESSES=0 for one process, as for a debugger)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile

test-slow: $(STAMP) ## the integration and nightly suites only
	$(BIN)/python -m pytest -m "integration or nightly"

test-cluster: $(STAMP) ## a Ray cluster of several nodes that is hurt while it works
	$(BIN)/python -m pytest -m cluster

test-all: $(STAMP) ## every test
	$(BIN)/python -m pytest -m ""

check: $(STAMP) ## ruff, strict mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## time the parts (BENCH_JSON=file writes the numbers, BENCH_COMPARE=file holds them against earlier ones)
	$(BIN)/python -m tests.benchmarks.bench $(if $(BENCH_JSON),--json $(BENCH_JSON)) $(if $(BENCH_COMPARE),--compare $(BENCH_COMPARE))

clean: ## remove .venv, caches and build outputs; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find mmm_core cluster runner tests -name __pycache__ -type d -prune -exec rm -rf {} +
