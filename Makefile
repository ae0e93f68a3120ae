# Golden's everyday commands; `make` alone lists them. PYTHON=… chooses the interpreter for `setup`.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: image chart help setup demo prove test whole chaos browser tools up down lint lock reference clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv from the locks, and the sandbox where it is missing
	@PYTHON="$(PYTHON)" deploy/local/setup.sh
	@$(BIN)/python -m deploy.sandbox.setup

demo: setup ## Start the stack, watch a team of agents solve a task, stop the stack
	@$(BIN)/python -m deploy.local.demo

prove: ## Attack the stack that runs here, once for each of the ten guarantees (golden up runs it)
	@$(BIN)/golden prove

test: setup browser tools lint ## Check everything: style, types, layers, then all tests
	$(BIN)/pytest -n 2 --dist loadfile tests/unit tests/replay tests/integration
	$(BIN)/pytest -n 2 --dist loadfile tests/chaos tests/endtoend --ignore tests/chaos/test_engine_restart.py
	$(BIN)/pytest tests/chaos/test_engine_restart.py

whole: setup ## Try every item of the large corpora (abuse, cheats, strings), of which `make test` tries a share
	GOLDEN_WHOLE=1 $(BIN)/pytest -n 2 tests/integration/test_sandbox_cheats.py tests/integration/test_sandbox_abuse.py \
	  tests/integration/test_naughty_strings.py
	GOLDEN_WHOLE=1 $(BIN)/pytest tests/endtoend/test_prove.py tests/unit/test_alerts.py

chaos: setup ## Kill parts of a stack at random for GOLDEN_CHAOS_SECONDS (300), by GOLDEN_CHAOS_SEED
	GOLDEN_CHAOS_SECONDS=$${GOLDEN_CHAOS_SECONDS:-300} $(BIN)/pytest -m chaos tests/chaos/test_storm.py tests/chaos/test_disaster.py

browser: ## Install the Chromium that one test looks at the Temporal UI with
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing chromium" && apt-get -qq update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; } || \
	  echo "chromium is not there: the test of the Temporal UI will be skipped"

tools: ## Install Prometheus and docker-compose, which tests check what operators get with
	@{ command -v promtool && command -v docker-compose; } >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  echo "installing prometheus and docker-compose" && apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	  apt-get -qq install -y --no-install-recommends prometheus docker-compose >/dev/null; } || \
	  echo "promtool or docker-compose is not there: the tests that need them will be skipped"

up: setup ## Run everything on this machine until Ctrl-C
	@$(BIN)/golden up

down: ## Stop the stack that runs here
	@$(BIN)/golden down

lint: ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## Pin every dependency again, with hashes
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	  --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml

reference: ## Make docs/reference from the code again
	$(BIN)/python -m deploy.reference

image: setup ## Build the image of Golden's processes on a local base, from the lock
	@$(BIN)/python -m deploy.image

chart: ## Copy the rules and dashboards of today into the Helm chart
	@$(BIN)/python -m deploy.chart_files

clean: ## Remove .venv and caches; GOLDEN_HOME stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
