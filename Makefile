# Two commands set everything up: `make demo` and `make test`. Neither can buy: every SEEDREAM_* variable is dropped first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
# `env -u NAME` for every variable that could name a gateway, a key, an archive or a ledger.
CLEAN := env $$(env | sed -n 's/^\(SEEDREAM_[A-Za-z0-9_]*\)=.*/-u \1/p; s/^\(GETIMG_[A-Za-z0-9_]*\)=.*/-u \1/p')

.PHONY: demo server server-down check test lint wheel bench clean

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

# The main job on the sample catalog: 24 products, 48 simulated images, a manifest. Run it again: nothing is bought twice.
demo: $(VENV)/.installed
	@$(CLEAN) PREFECT_HOME=$(CURDIR)/$(DEMO)/prefect \
	  $(BIN)/seedream run data/samples/catalog.csv --shots data/samples/shots.yaml --sandbox --archive $(DEMO)/archive
	@echo "images     $(DEMO)/archive/images    (open the contact sheet in a browser; make server: the run in the Prefect UI)"

# Prefect's server with the deployments of prefect.yaml and a worker, in the background; the demo's runs are there too.
server: $(VENV)/.installed
	@$(CLEAN) $(BIN)/python scripts/server.py up --home $(DEMO)

# Ends what `make server` started, and nothing else.
server-down: $(VENV)/.installed
	@$(CLEAN) $(BIN)/python scripts/server.py down --home $(DEMO)

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The inner loop: what needs no server, on SQLite; under two minutes on two cores. `make test` is everything.
QUICK := $(addprefix tests/,core catalog gateways ledger images references storage test_rings.py test_patches.py test_docs_reference.py test_contributing.py typing)

check: lint
	$(CLEAN) $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(QUICK)

test: lint
	$(CLEAN) $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# Builds the wheel and tries it installed, with the lowest and the highest Python that this machine has of those supported.
wheel: $(VENV)/.installed-for-tests
	$(CLEAN) $(BIN)/python scripts/try_wheel.py --online

# The short version of all benchmarks, against sandboxes of their own: under five minutes on two cores.
bench: $(VENV)/.installed-for-tests
	$(CLEAN) $(BIN)/python -m benchmarks

clean:
	test ! -x $(BIN)/python || $(BIN)/python scripts/server.py down --home $(DEMO)
	rm -rf $(DEMO) $(VENV) .pytest_cache .mypy_cache .ruff_cache
