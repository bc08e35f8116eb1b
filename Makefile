# Everything is set up by .ci/bootstrap on a Debian machine with Python 3.11 and make; the first time as root.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-core lint format bench recognition chaos fuzz schema lock clean

BIN := .venv/bin
# Extra arguments: make test ARGS="tests/eviction -k sweep", make demo ARGS="--help"
ARGS ?=
# make recognition: rows as tests/recognition/corpus.py describes them
CORPUS ?=
# Tests of real parts mostly wait, so three at once suit two cores; a file's tests share what it starts
WORKERS ?= -n 3 --dist loadfile --no-loadscope-reorder
# Tests of the core only compute: one for each of two cores, each test where there is room
CORE_WORKERS ?= -n 2 --dist worksteal

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

demo: ## the whole story on this machine, with an engine and a broker of its own
	@.ci/bootstrap demo
	@$(BIN)/torchkeeper demo $(ARGS)

test: lint ## set-up, lint, and every test on the built package
	@echo "make: pytest" >&2
	@site=$$(echo .venv/lib/python3.*/site-packages) && \
		TEST_BUILT_PACKAGE=1 $(BIN)/pytest -o "pythonpath=$$site ." $(WORKERS) $(ARGS)

test-core: ## the tests of the pure core, on the source tree, with a tenth of the examples: under half a minute
	@[[ -x $(BIN)/pytest ]] || .ci/bootstrap test
	@$(BIN)/pytest tests/core tests/properties --quiet --hypothesis-profile=quick $(CORE_WORKERS) $(ARGS)

lint: ## set-up, ruff, mypy and the import lint
	@.ci/bootstrap test
	@echo "make: ruff check" >&2 && $(BIN)/ruff check --quiet agent tests
	@echo "make: ruff format --check" >&2 && $(BIN)/ruff format --quiet --check agent tests
	@echo "make: mypy" >&2 && $(BIN)/mypy --no-error-summary agent tests
	@echo "make: lint-imports" >&2 && $(BIN)/lint-imports --no-logo

format: ## sort the imports and format the code
	@[[ -x $(BIN)/ruff ]] || .ci/bootstrap test
	@$(BIN)/ruff check --quiet --select I --fix agent tests
	@$(BIN)/ruff format --quiet agent tests

bench: ## set-up and the benchmarks
	@.ci/bootstrap test
	@$(BIN)/python -m tests.benchmarks $(ARGS)

recognition: ## set-up; how many images are recognised, of CORPUS=FILE or of the project's own
	@.ci/bootstrap test
	@$(BIN)/python -m tests.recognition $(CORPUS) $(ARGS)

chaos: ## set-up; parts killed at random for ten minutes, creates that race removals, a broker's cluster
	@.ci/bootstrap test
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: ## set-up; what comes from outside, fuzzed for a minute a reader
	@.ci/bootstrap test
	@$(BIN)/python -m tests.fuzz $(ARGS)

schema: ## write config/torchkeeper.schema.json anew from the settings
	@.ci/bootstrap test
	@$(BIN)/python -c "import json; from agent.config import settings; print(json.dumps(settings.schema(), indent=2))" \
		>config/torchkeeper.schema.json

lock: ## write the lock files anew from pyproject.toml
	@.ci/lock

clean: ## remove everything that set-up and tests made in this tree
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
