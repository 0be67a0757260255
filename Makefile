# Two commands set everything up: `make demo` and `make test`. Neither can buy: every SEEDREAM_* variable is dropped first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
# `env -u NAME` for every variable that could name a gateway, a key, an archive or a ledger.
CLEAN := env $$(env | sed -n 's/^\(SEEDREAM_[A-Za-z0-9_]*\)=.*/-u \1/p; s/^\(GETIMG_[A-Za-z0-9_]*\)=.*/-u \1/p')

.PHONY: demo ui test lint clean

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

# The main job on the sample catalog: 24 products, 48 simulated pictures, a manifest. Run it again: nothing is bought twice.
demo: $(VENV)/.installed
	$(CLEAN) PREFECT_HOME=$(CURDIR)/$(DEMO)/prefect \
	  $(BIN)/seedream run data/samples/catalog.csv --shots data/samples/shots.yaml --sandbox --archive $(DEMO)/archive
	@echo "pictures   $(DEMO)/archive/images    (make ui: the run in the Prefect UI)"

# The demo's runs in the Prefect UI, until Ctrl-C.
ui: $(VENV)/.installed
	$(CLEAN) PREFECT_HOME=$(CURDIR)/$(DEMO)/prefect PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 \
	  PREFECT_UI_API_URL=http://127.0.0.1:4200/api $(BIN)/prefect server start --host 127.0.0.1 --port 4200

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(CLEAN) $(BIN)/python -m pytest

clean:
	rm -rf $(DEMO) $(VENV) .pytest_cache .mypy_cache .ruff_cache
