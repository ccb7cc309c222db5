# Detektor Features: what there is to do, one target each. `make` alone lists them.
#
# Every target makes .venv by itself from a bare Python 3.11 with pip; when it is up to date that takes no time.
#
#   make demo                 simulated history of six months for all eight agents, computed, served, recorded
#   make demo LOGS=~/logs     the same on your own agents' transcripts
#   make demo FRESH=1         empty the state first and compute everything again
#   make test ARGS="-k window"
#   make bench QUICK=1        every benchmark at its smallest size; without QUICK an hour or more

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The interpreter that .venv is made from: 3.11 where there is one. The lock is for 3.11, 3.12 and 3.13, other versions are refused.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
# Test processes; each starts servers of its own.
WORKERS ?= 2
# Tests of properties that draw few examples in `make test`.
DEAR = $(shell grep -rl --include='test_*.py' 'support.examples' tests)
# `make lock UPGRADE=` leaves what is locked as it is, and adds what is new.
UPGRADE ?= --upgrade
# Further arguments for pytest.
ARGS ?=

BIN := .venv/bin
# Written last: its presence says that .venv is whole, its age that it belongs to this lock.
READY := .venv/.complete

# Environment -----------------------------------------------------------------------------------------------------------------

# pip cannot install this lock with hashes and extras, uv can. Bytecode is compiled once: it halves the start of
# every later command, and the imports of mlflow and feast would cost seconds each time where the tree is read-only.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another one. Name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making .venv from requirements.txt (a minute or two, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: .venv
.venv: $(READY) ## Make or update the environment (the others do it by themselves)

# What holds for all that the lock is for is not said at each package.
LINUX := -e "s/ and (implementation_name == 'cpython'|platform_python_implementation == 'CPython'|sys_platform == 'linux')//g" -e "s/ ; python_full_version < '3.14'//"

.PHONY: lock
lock: $(READY) ## Resolve requirements.in into requirements.txt again, with hashes and without index addresses
	$(BIN)/uv pip compile requirements.in -o requirements.txt $(UPGRADE) --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" -q
	@sed -i -E $(LINUX) requirements.txt
	@for image in full serving; do \
	  if [ $$image = full ]; then sed '/^# Development/,$$d' requirements.in; else cat docker/serving.in; fi | $(BIN)/uv pip compile - -c requirements.txt \
	    -o docker/$$image.txt --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 --custom-compile-command "make lock" -q; done
	$(BIN)/uv pip compile docs/site/requirements.in -o docs/site/requirements.txt $(UPGRADE) --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" -q
	$(BIN)/uv pip compile benchmarks/requirements.in -o benchmarks/requirements.txt $(UPGRADE) --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" -q
	$(BIN)/uv pip compile supply/tools.in -o supply/tools.txt $(UPGRADE) --universal --generate-hashes --no-emit-index-url --no-annotate \
	  --python-version 3.11 --custom-compile-command "make lock" -q
	$(BIN)/uv pip compile supply/spark.in -o supply/spark.txt $(UPGRADE) --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  --custom-compile-command "make lock" -q
	@sed -i -E $(LINUX) supply/tools.txt
	@! grep -nE '^(--|-i |-f )|https?://' requirements.txt docs/site/requirements.txt benchmarks/requirements.txt supply/tools.txt supply/spark.txt || { echo "A lock holds an address: not to be committed" >&2; exit 1; }

# An environment of its own: Spark is 450 MB, and nothing else needs it. Behind its own packages it has those of .venv, this one's too.
SPARK := .spark
$(SPARK)/.complete: supply/spark.txt $(READY)
	@test -x $(SPARK)/bin/python || $(BIN)/python -m venv --without-pip $(SPARK)
	@site() { "$$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }; \
	  echo "import site; site.addsitedir('$$(site $(BIN)/python)')" > "$$(site $(SPARK)/bin/python)/detektor.pth"
	@echo "Making .spark from supply/spark.txt (a minute, once)"
	@$(BIN)/uv pip install --quiet --python $(SPARK)/bin/python --require-hashes --no-build-isolation -r supply/spark.txt
	@touch $@

.PHONY: spark
spark: $(SPARK)/.complete ## Make or update the environment of `detektor backfill --engine spark`, which also wants Java 17

# Using it --------------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## From logs to served features, end to end (LOGS=directory, FRESH=1)
	@$(BIN)/detektor demo $(if $(LOGS),--logs "$(LOGS)") $(if $(FRESH),--fresh)

.PHONY: up
up: $(READY) ## Start PostgreSQL, Redis, MLflow, the stream, the feature and the registry server, and Dagster, and say where its pages are
	@$(BIN)/detektor up

.PHONY: down
down: $(READY) ## End them; data stays in .detektor
	@$(BIN)/detektor down

# Working on it ---------------------------------------------------------------------------------------------------------------

.PHONY: test
test: $(READY) ## Run the tests, on servers of their own
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" $(ARGS)

.PHONY: test-long
test-long: $(READY) ## Run the tests that take minutes, the 500 histories of `make torture` among them
	$(BIN)/python -m pytest -m long --timeout 1800 --ignore tests/torture $(ARGS)
	$(BIN)/python -m pytest -n $(WORKERS) --timeout 1800 --hypothesis-profile deep -m "not long and not slow" tests/unit tests/semantics $(ARGS)
	$(BIN)/python -m pytest -n $(WORKERS) --timeout 1800 --hypothesis-profile deep -m "not long" $(DEAR) $(ARGS)
	@$(MAKE) --no-print-directory torture

.PHONY: spark-test
spark-test: $(SPARK)/.complete ## Run the tests of Spark, in its environment (ARGS="-k bounds"; SPARK_TEST_MASTER=local-cluster[2,1,2048]: executors apart)
	$(SPARK)/bin/python -m pytest -m "spark and not long" --timeout 900 tests/integration/spark $(ARGS)

.PHONY: torture
torture: $(READY) ## Play 500 random histories of the platform against an oracle (SEEDS=17 or 100-150,9: only these)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/torture $(if $(SEEDS),--seeds $(SEEDS),-m long)

.PHONY: lint
lint: $(READY) ## Check style, formatting and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run $(BIN)/ruff format ." >&2; exit 1; }
	$(BIN)/lint-imports

.PHONY: types
types: $(READY) ## Check types
	$(BIN)/mypy

# Beside .venv, on the path of the one process that needs it: nothing of the product needs Polars.
build/bench/.complete: benchmarks/requirements.txt | $(READY)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target build/bench --no-deps --require-hashes -r benchmarks/requirements.txt
	@touch $@

# Spark's way is left out where there is no Java to run it.
HAVE_JAVA = $(shell command -v java)

.PHONY: bench
bench: build/bench/.complete $(if $(HAVE_JAVA),$(SPARK)/.complete) ## Measure all, ours beside the others last; writes docs/performance.md and docs/scaling.md (QUICK=1: does it run?)
	@$(BIN)/python benchmarks/run_all.py $(if $(QUICK),--quick) $(ARGS)

.PHONY: side-by-side
side-by-side: build/bench/.complete $(if $(HAVE_JAVA),$(SPARK)/.complete) ## Only ours beside stock Feast, pandas, Polars, DuckDB and Spark, with both pages (QUICK=1)
	@$(BIN)/python benchmarks/side_by_side.py $(if $(QUICK),--quick) $(ARGS)
	@$(if $(QUICK),,$(BIN)/python benchmarks/capacity.py --page)

.PHONY: labelled
labelled: $(READY) ## How often purposes, verdicts and counts are read rightly, on the labelled sets
	@$(BIN)/python tests/labelled/figures.py

.PHONY: masking-figures
masking-figures: $(READY) ## How much of what must not be kept is masked, and how many ordinary lines are changed
	@PYTHONPATH=tests $(BIN)/python tests/labelled/masking_figures.py

.PHONY: soak
soak: $(READY) ## Half an hour of load on the feature server: errors, latency, memory over time (ARGS="--minutes 5 --plot soak.png")
	@$(BIN)/python benchmarks/soak_serving.py $(ARGS)

# An environment of its own: nothing of the product needs Sphinx.
build/site/.complete: docs/site/requirements.txt | $(READY)
	@test -x build/site/bin/python || $(PYTHON) -m venv build/site
	@$(BIN)/uv pip install --quiet --python build/site/bin/python --require-hashes -r docs/site/requirements.txt
	@touch $@

.PHONY: site
site: build/site/.complete ## Build the documentation as web pages; a dead link ends it
	@build/site/bin/sphinx-build -q -W --keep-going -c docs/site -b html -d build/doctrees . build/docs
	@echo "The first page: build/docs/README.html"

.PHONY: pictures
pictures: $(READY) ## Take the pictures of Dagster's pages in docs/images again (needs Chromium; ARGS="graph partitions")
	@PYTHONPATH=tests $(BIN)/python docs/images/take_pictures.py $(ARGS)

.PHONY: old-database
old-database: $(READY) ## Make the database of release 0.1.0 again that upgrades are tested on (its code is taken from Git)
	@$(BIN)/python tests/integration/upgrade/make_dump.py

.PHONY: wheel
wheel: $(READY) ## Build the wheel into dist
	@rm -rf build && $(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist && rm -rf build *.egg-info
	@ls dist/*.whl

# What is delivered ------------------------------------------------------------------------------------------------------------

# Its tools have an environment of their own: nothing of the platform needs them.
SUPPLY := .supply
$(SUPPLY)/.complete: supply/tools.txt $(READY)
	@test -x $(SUPPLY)/bin/python || $(BIN)/python -m venv --without-pip $(SUPPLY)
	@$(BIN)/uv pip sync --quiet --python $(SUPPLY)/bin/python --require-hashes supply/tools.txt
	@touch $@

.PHONY: sbom
sbom: $(SUPPLY)/.complete ## Write dist/sbom.json: every locked package with its hashes (CycloneDX)
	@$(SUPPLY)/bin/python supply/check.py sbom

.PHONY: licences
licences: $(SUPPLY)/.complete ## Hold every locked package's licence to supply/licences.toml
	@$(SUPPLY)/bin/python supply/check.py licences

.PHONY: audit
audit: $(SUPPLY)/.complete ## Ask for known weaknesses of what is locked; says so when nobody could be asked
	@$(SUPPLY)/bin/python supply/check.py audit

.PHONY: dashboard-picture
dashboard-picture: $(READY) ## Draw the dashboard's panels again, from the running stack (needs Debian's prometheus)
	@$(BIN)/python docs/images/draw_dashboard.py $(ARGS)

.PHONY: clean
clean: ## Remove .venv, build products and caches; the state in .detektor stays (demo FRESH=1 empties it)
	@if [ -x $(BIN)/detektor ]; then $(BIN)/detektor down; fi
	rm -rf .venv .supply .spark build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z.-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
