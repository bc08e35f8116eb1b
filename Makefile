# .ci/bootstrap installs everything on a Debian machine with Python 3.11 and make; run it as root the first time.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-engines test-deployment test-proxy test-core lint format bench bench-fleet recognition chaos soak fuzz page schema docs man proxy image lock dist deb test-install audit clean

BIN := .venv/bin
# Extra arguments: make test ARGS="tests/eviction -k sweep", make demo ARGS="--page"
ARGS ?=
# A file for make recognition, in the format that tests/recognition/corpus.py describes
CORPUS ?=
# Tests of real engines and brokers mostly wait, so three workers suit two cores; the tests of a file share its engine
WORKERS ?= -n 3 --dist loadfile --no-loadscope-reorder
# Tests of the core only compute, so two workers suit two cores; each takes the next test when it is free
CORE_WORKERS ?= -n 2 --dist worksteal

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

demo: ## show the whole story on this machine, with a private engine and broker
	@.ci/bootstrap demo $(if $(filter --page,$(ARGS)),page)
	@$(BIN)/torchkeeper demo $(ARGS)

test: lint ## set up, lint, and run every test on the built package
	@echo "make: pytest" >&2
	@site=$$(echo .venv/lib/python3.*/site-packages) && \
		TEST_BUILT_PACKAGE=1 $(BIN)/pytest -o "pythonpath=$$site ." $(WORKERS) $(ARGS)

test-engines: lint ## set up, and run the tests of real engines on each version and store, half an hour
	@TEST_ENGINES=all $(BIN)/pytest tests/acceptance tests/faults tests/chaos tests/contracts tests/adapters/docker \
		$(WORKERS) $(ARGS)

test-deployment: lint ## set up, and start the units and compose files of config/ for real, some minutes
	@TEST_DEPLOYMENT=1 $(BIN)/pytest tests/deployment $(ARGS)

test-proxy: lint ## set up, and run the acceptance tests on engines behind HAProxy, some ten minutes
	@TEST_PROXY=1 $(BIN)/pytest tests/proxy tests/acceptance $(WORKERS) $(ARGS)

test-core: ## run the tests of the pure core on the source tree, with a tenth of the examples, in half a minute
	@[[ -x $(BIN)/pytest ]] || .ci/bootstrap test
	@$(BIN)/pytest tests/core tests/properties --quiet --hypothesis-profile=quick $(CORE_WORKERS) $(ARGS)

lint: ## set up, and run ruff, mypy and the import lint
	@.ci/bootstrap test
	@echo "make: ruff check" >&2 && $(BIN)/ruff check --quiet agent tests config/image
	@echo "make: ruff format --check" >&2 && $(BIN)/ruff format --quiet --check agent tests config/image
	@echo "make: mypy" >&2 && $(BIN)/mypy --no-error-summary agent tests config/image
	@echo "make: lint-imports" >&2 && $(BIN)/lint-imports --no-logo

format: ## sort the imports and format the code
	@[[ -x $(BIN)/ruff ]] || .ci/bootstrap test
	@$(BIN)/ruff check --quiet --select I --fix agent tests config/image
	@$(BIN)/ruff format --quiet agent tests config/image

bench: ## set up, and run the benchmarks
	@.ci/bootstrap test
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-fleet: ## set up, and measure the monitor and fleet status with ten thousand hosts, half an hour; ARGS="--hosts 1000"
	@.ci/bootstrap test
	@$(BIN)/python -m tests.benchmarks.fleet $(ARGS)

recognition: ## set up, and count the images that are recognised, of CORPUS=FILE or of the project's own
	@.ci/bootstrap test
	@$(BIN)/python -m tests.recognition $(CORPUS) $(ARGS)

chaos: ## set up, and kill parts at random for ten minutes, race creates with removals, break a broker cluster
	@.ci/bootstrap test
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: ## set up, and watch for ten minutes whether an agent grows while containers run on 500 images
	@.ci/bootstrap test
	@$(BIN)/python -m tests.soak $(ARGS)

fuzz: ## set up, and feed random input to each reader of outside data for a minute
	@.ci/bootstrap test
	@$(BIN)/python -m tests.fuzz $(ARGS)

page: ## bring the libraries of the monitor's page by npm
	@.ci/bootstrap test
	@$(BIN)/python agent/fleet/page/vendor.py

schema: ## generate config/torchkeeper.schema.json from the settings
	@.ci/bootstrap test
	@$(BIN)/python -c "import json; from agent.config import settings; print(json.dumps(settings.schema(), indent=2))" \
		>config/torchkeeper.schema.json

docs: ## generate docs/configuration.md from the settings and config/torchkeeper.toml
	@.ci/bootstrap test
	@$(BIN)/python -c "import pathlib; from agent.config import reference, settings; \
		print(reference.markdown(settings.schema(), pathlib.Path('config/torchkeeper.toml').read_text()), end='')" \
		>docs/configuration.md

man: ## generate the manual page agent/cli/torchkeeper.1 from the commands
	@.ci/bootstrap test
	@$(BIN)/python -c "from agent.cli import man; man.PAGE.write_text(man.page())"

proxy: ## generate the rules of the socket proxies, and the tables of calls in the documents
	@.ci/bootstrap test
	@$(BIN)/python -m agent.adapters.docker.proxy_rules

image: ## build the image, by Docker, with its version and revision
	@docker build --tag torchkeeper --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" $(ARGS) .

lock: ## generate the lock files from pyproject.toml
	@.ci/lock

dist: ## build wheel, source and bill of materials into dist/
	@.ci/dist

deb: ## build dist/torchkeeper_VERSION_ARCHITECTURE.deb, the program with its own Python, in some minutes
	@.ci/deb

test-install: lint ## set up, and carry out each way to install, upgrade and remove the program, in some ten minutes
	@TEST_INSTALL=1 $(BIN)/pytest tests/install $(ARGS)

audit: ## ask PyPI for known vulnerabilities of the packages in requirements.lock and requirements-monitor.lock
	@$$(.ci/bootstrap release)/bin/pip-audit --require-hashes --disable-pip -r requirements.lock -r requirements-monitor.lock

clean: ## remove everything that set-up and tests created in this tree
	@rm -rf agent/fleet/page/vendor .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
