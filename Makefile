# Every target works from a fresh clone with Python 3.11 or newer (with venv), git and make; nothing else is assumed.
# What is tested is the built wheel, installed without its dependencies into a venv that holds the locked ones.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python of at least 3.11 that can make a virtual environment.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
SOURCES := $(shell find src -name '*.py' -o -name py.typed)
# Tests run side by side; a worker that has none left takes from the others.
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test check lint types layers test-all docs schema lock bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

test: $(VENV)/installed ## Run the fast tests (under 5 minutes on 2 cores)
	$(PYTEST) -m "not slow"

check: lint types layers docs test-all ## Everything CI runs (under 20 minutes on 2 cores)

lint: $(VENV)/locked ## Style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/locked ## Static types
	$(BIN)/mypy src tests

layers: $(VENV)/installed ## Imports only go down
	$(BIN)/lint-imports

docs: $(VENV)/installed ## Generated reference pages are up to date
	$(BIN)/python docs/generate.py --check

schema: $(VENV)/installed ## Write the generated reference pages and JSON Schemas
	$(BIN)/python docs/generate.py

test-all: $(VENV)/installed ## Run all tests: the slow ones too, with big environments, kills, huge files
	$(PYTEST)

demo: $(VENV)/installed ## Record an ETL run, destroy what it needed, replay it
	REENACT=$(abspath $(BIN))/reenact PYTHON=$(abspath $(BIN))/python examples/flights/demo.sh

bench: $(VENV)/installed ## Measure recording and replay; see bench/README.md
	REENACT=$(abspath $(BIN))/reenact $(BIN)/python bench/run.py

lock: $(VENV)/locked ## Pin the newest versions allowed, with hashes, without any address
	for file in requirements/dev examples/flights/build examples/flights/requirements; do \
		(cd "$$(dirname $$file)" && $(abspath $(BIN))/uv pip compile --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-header --upgrade --quiet \
			"$$(basename $$file).in" -o "$$(basename $$file).txt"); done

clean: ## Remove what these targets made
	rm -rf $(VENV) build dist

$(VENV)/locked: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

$(VENV)/installed: $(VENV)/locked $(SOURCES) pyproject.toml README.md LICENSE
	rm -rf $(VENV)/wheel
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir $(VENV)/wheel .
	$(PIP) install --no-deps --force-reinstall $(VENV)/wheel/reenact-*.whl
	touch $@
