# Everything a newcomer types. `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUNS   := $(VENV)/.runs
ONCE   ?=
DISTRIBUTIONS := pyproject.toml schemas/pyproject.toml deploy/local/pyproject.toml
PEERS  := .venv-bench
SCALE  ?= 1
ONLY   ?=

.DEFAULT_GOAL := help
.PHONY: help install run pictures test test-long test-matrix test-mta chaos check fix schemas definitions inbox requirements bench bench-quick bench-requirements audit clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## a virtual environment with the pinned dependencies and every package

$(STAMP): requirements/dev.txt $(DISTRIBUTIONS)
	$(call installed,-r requirements/dev.txt)

# The tools of developers take as long again as what runs.
$(RUNS): requirements/local.txt requirements/build.txt $(DISTRIBUTIONS)
	$(call installed,-r requirements/local.txt -r requirements/build.txt)

define installed
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidings needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(1)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e ./schemas -e . -e ./deploy/local
	@touch $@
endef

run: $(if $(wildcard $(STAMP)),$(STAMP),$(RUNS)) ## the whole stack on this machine, with a tour (ONCE=1: exit after the tour)
	@$(BIN)/tidings up $(if $(ONCE),--once)

# Where Python may keep no bytecode, each process compiles the tests again: five seconds.
test: export PYTHONDONTWRITEBYTECODE =
test: install ## the whole suite, against a real RabbitMQ and PostgreSQL that it starts itself
	@$(BIN)/python -m tidings_local.packages --browser
	@$(BIN)/python -m tests.mta postfix exim
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: install ## what chance finds later: 10,000 operations on inboxes, 30 random requests a route, 1,700 seeds of the simulation beyond the 300 of make test
	@INBOX_TEST="operations=10000" API_EXAMPLES=30 SIMULATION_SEEDS=300:1700 $(BIN)/python -m pytest -q --numprocesses 3 --dist loadfile \
	  tests/integration/inbox/test_random_operations.py tests/contract/http/test_the_api_does_as_its_document_says.py \
	  tests/simulation/test_one_half_of_the_schedules.py tests/simulation/test_the_other_half_of_the_schedules.py $(ARGS)

chaos: install ## inject faults and count losses: SCENARIO=4 N=… SEED=… KILLS=… RANDOM=10m MUTANTS=1 DEBIAN=14 AT_ONCE=2 LIST=1 WRITE=1
	@$(BIN)/python -m tests.chaos $(if $(SCENARIO),--scenario "$(SCENARIO)") $(if $(N),--count $(N)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS)) $(if $(RANDOM),--random $(RANDOM)) \
	  $(if $(MUTANTS),--mutants) $(if $(LIST),--list) $(if $(KEEP),--keep) \
	  $(if $(DEBIAN),--debian $(DEBIAN)) $(if $(PATIENCE),--patience $(PATIENCE)) $(if $(AT_ONCE),--at-once $(AT_ONCE)) \
	  $(if $(WRITE),--write docs/reliability.md) $(ARGS)

pictures: install ## take the pictures of docs/console.md again
	@$(BIN)/python -m tidings_local.packages --browser
	@WRITE_PICTURES=1 $(BIN)/python -m pytest -q -n0 tests/browser/console/test_a_day_of_a_shop.py -k pictures

test-matrix: install ## tests against servers, on those of Debian 13 and 14 (needs root and debootstrap)
	@$(BIN)/python -m tests.matrix $(ARGS)

test-mta: install ## mail through seven real mail servers: by hand, and before a release (needs root and Node 20)
	@$(BIN)/python -m tidings_local.packages
	@$(BIN)/python -m tests.mta
	@$(BIN)/python -m pytest -q -n0 --timeout 300 $(if $(findstring tests/,$(ARGS)),,tests/mta/arriving.py tests/mta/refusing.py) $(ARGS)

check: install ## lint, format, types, import rules, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(BIN)/python -m tidings_events.export --check
	@$(BIN)/tidings topology definitions --check deploy/rabbitmq/definitions.json
	@$(BIN)/tidings settings --check docs/operations.md

fix: install ## apply ruff's automatic fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schemas: install ## generate the published schemas, RabbitMQ definitions and the settings table
	@$(BIN)/python -m tidings_events.export
	@$(BIN)/tidings topology definitions --write deploy/rabbitmq/definitions.json
	@$(BIN)/tidings settings --write docs/operations.md

inbox: install ## build what the API serves of clients/inbox (needs Node 20)
	@$(BIN)/python -m tests.support.inbox_component

requirements: ## resolve and pin the dependencies again
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  pyproject.toml schemas/pyproject.toml --no-emit-package tidings-events -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements/runtime.txt deploy/local/pyproject.toml --no-emit-package tidings --no-emit-package tidings-events \
	  -o requirements/local.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements/build.in -o requirements/build.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements/local.txt requirements/build.txt requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  tests/contract/http/python/requirements.in -o tests/contract/http/python/requirements.txt

bench: install $(PEERS)/.installed ## measure Tidings beside its peers: docs/performance.md (a part: SCALE=0.1 ONLY="W1 W5")
	@$(BIN)/python -m tidings_local.packages
	@$(BIN)/python -m benchmarks --scale $(SCALE) --only "$(ONLY)" $(ARGS)

bench-quick: install $(PEERS)/.installed ## three minutes: fails if W1 is below its ratios or a command starts slowly
	@$(BIN)/python -m tidings_local.packages
	@$(BIN)/python -m benchmarks --quick

$(PEERS)/.installed: benchmarks/requirements.txt
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "installing what Tidings is compared with into $(PEERS) …"
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.txt
	@touch $@

bench-requirements: ## resolve and pin the benchmark's peers again
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  benchmarks/requirements.in -o benchmarks/requirements.txt

audit: install ## check pinned dependencies against PyPI's advisories (needs the Internet)
	@$(BIN)/uvx --quiet --from pip-audit==2.10.0 pip-audit --strict --disable-pip --require-hashes \
	  --progress-spinner off -r requirements/runtime.txt

clean: ## remove the virtual environment and the data of the local stack
	rm -rf $(VENV) $(PEERS) .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
