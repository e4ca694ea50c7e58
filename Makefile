# Homing's targets; `make` alone lists them. Everything lives in .venv, from the hashed requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable)
PYTEST := $(BIN)/python -m pytest
# Two workers: the tests wait for processes and sockets more than they compute. A file stays on one worker.
WORKERS ?= 2
MINUTES ?= 10
# In the order of the folders: by the number of their tests the longest file, of few tests, would come last and alone.
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# What exercises the pure core and the story; the other tests repeat it through sockets and pages.
CORE_TESTS := $(wildcard tests/domain tests/flow tests/agent tests/attack)
NOT_LONG := $(if $(CHROMIUM),not long,not long and not browser)

.DEFAULT_GOAL := help
.PHONY: help run demo test check test-all bench bench-report chaos coverage mutants lint types browser setup lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## set everything up and start the gateway, a local node and the web chat
	@$(BIN)/homing run

demo: $(READY) ## the promises shown in a terminal, without a browser
	@$(BIN)/homing demo

test: $(READY) ## the tests; without Chromium the browser tests are left out, and named at the end
	@status=0; $(PYTEST) $(PARALLEL) -m "$(NOT_LONG)" || status=$$?; $(if $(CHROMIUM),,$(MAKE) --no-print-directory left-out;) exit $$status

.PHONY: left-out
left-out:
	@echo "Left out for lack of a browser (install chromium for them; \`make check\` wants it):"
	@$(PYTEST) --collect-only -q -m "browser and not long" 2>/dev/null | sed -n 's/^tests/  tests/p'

check: lint types browser coverage rest ## lint, types, all but the long tests with the browser's, coverage

browser:
	@$(if $(CHROMIUM),true,echo "make check needs Chromium for the browser tests: install it (Debian: apt-get install chromium), or run make test" >&2; exit 1)

.PHONY: rest
rest: $(READY) # what the coverage has not run already
	@$(PYTEST) $(PARALLEL) -m "$(NOT_LONG)" $(addprefix --ignore=,$(CORE_TESTS))

test-all: browser $(READY) ## every test, the long ones too
	@$(PYTEST) $(PARALLEL) --timeout 1800 --hypothesis-profile=wide

lint: $(READY) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy --strict
	@$(BIN)/mypy

coverage: $(READY) ## branches of bot/domain and bot/flow: every one is taken by a test
	@$(BIN)/coverage erase
	@$(PYTEST) $(PARALLEL) -m "$(NOT_LONG)" --cov --cov-report= $(CORE_TESTS)
	@$(BIN)/coverage report --include='bot/domain/*,bot/flow/*' --show-missing --skip-covered --fail-under=100

# MODULES="domain/policy flow/dispatch" chooses, `again` judges the survivors anew; all of them take a night.
mutants: $(READY) ## bot/domain and bot/flow changed in small ways, to see whether a test minds: MODULES="domain/policy …"
	@$(BIN)/python -m tests.mutants $(MODULES)

# PARTS=ab measures two of them, SCALE=0.1 a tenth of the samples, KEEP=name keeps the document in bench/results.
bench: $(READY) ## what it costs, each figure beside its floor; some ten minutes
	@$(BIN)/python -m bench $(if $(PARTS),--only $(PARTS)) $(if $(SCALE),--scale $(SCALE)) $(if $(KEEP),--keep $(KEEP))
	@$(if $(PARTS),true,$(BIN)/python -m bench.policy)

bench-report: $(READY) ## docs/BENCHMARKS.md and its plots, of what bench/results holds
	@$(BIN)/python -m bench.report

chaos: $(READY) ## random kills of gateways and nodes: MINUTES=10, SEED=… to repeat; the report is kept in chaos-report/
	@$(BIN)/python -m tests.chaos $(MINUTES) $(SEED)

setup: $(READY) ## only set up .venv

lock: $(READY) ## resolve pyproject.toml anew into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --group dev --all-extras --universal --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header -o requirements.lock
	@! grep -nE '://|--(extra-)?index-url|--find-links' requirements.lock

clean: ## remove .venv and what tools left behind; config.toml and data/ stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* mutants dist
	@find bot channels tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# uv comes from the lock as well, hash and all; where it cannot be had, pip does the same in half a minute.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>/dev/null || echo "$(PYTHON), which is not there"); \
		echo "Homing needs Python 3.11 or newer, and this is $$found. Install one, then name it:" \
			"make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@awk '/^[a-z]/ { wanted = /^uv==/ } wanted' requirements.lock > $(VENV)/uv.lock
	@{ $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock \
		&& $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; } \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
