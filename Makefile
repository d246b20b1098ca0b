# Everything a developer types. All of it happens in $(VENV); nothing needs root. A stamp file for each set of
# dependencies keeps the second call fast and offline.

PYTHON ?= python3
VENV ?= .venv
CONFIG ?= etc/gw.ini
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MADE := $(VENV)/.made
RUN := $(VENV)/.installed-run
TEST := $(VENV)/.installed-test
DEV := $(VENV)/.installed-dev

.PHONY: help run test check format bench docs clean
.DELETE_ON_ERROR:

help:
	@echo 'make run     start the gateway with $(CONFIG), in the foreground; another file: CONFIG=FILE'
	@echo 'make test    run the tests; some of them: ARGS="tests/policy -k retry"'
	@echo 'make check   formatting, lint, types'
	@echo 'make format  put the formatting right, and what lint can fix'
	@echo 'make bench   CPU a request beside other proxies (benchmarks/README.md); options: ARGS=...'
	@echo 'make docs    write the generated documents again'
	@echo 'make clean   remove the environment and whatever was built'

# No pid file: a foreground process needs none, and a stale one would stop the next start.
run: $(RUN)
	@exec $(BIN)/twistd -n --pidfile= apigw --config $(CONFIG)

test: $(TEST)
	$(BIN)/python -m pytest $(ARGS)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV)
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(RUN)
	$(BIN)/python -m apigw.config.reference

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f twisted/plugins/dropin.cache twistd.pid twistd.log*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo >&2 "make: apigw needs Python 3.10 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
	  echo >&2 "make: name another one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo >&2 "make: '$(PYTHON)' can't make virtual environments: its venv module is missing."; \
	  echo >&2 "make: on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN): $(MADE) setup.py pyproject.toml
	@echo 'installing apigw and what it needs'
	@$(PIP) install --editable .
	@touch $@

$(TEST): $(MADE) setup.py pyproject.toml
	@echo 'installing what the tests need'
	@$(PIP) install --editable '.[test]'
	@touch $@ $(RUN)

$(DEV): $(MADE) setup.py pyproject.toml
	@echo 'installing what developers need'
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(TEST) $(RUN)
