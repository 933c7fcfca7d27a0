# `make demo` shows a container, `make test` runs every check; both set up whatever they need.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LINKS  ?= /usr/local/bin
SOURCES := $(shell find aethel_* images proto -type f -not -name '*.pyc') pyproject.toml README.md

# The parts of `test` measure time and share the machine's CPUs: one after the other, whatever -j says.
.NOTPARALLEL:
.PHONY: help demo test lint unit host e2e vm bench clean

help:  ## Say what there is.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/installed  ## Build demo-alpine, start the daemon if none answers, and look into a container.
	@tools/system-packages demo
	@tools/demo $(BIN) $(LINKS)

test: lint unit host e2e vm  ## Format, lint, types, import contract, unit, host and end-to-end tests, these on two kernels.

lint: $(VENV)/dev  ## Format, lint, types and import contract.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/dev  ## Tests that need no root.
	$(BIN)/pytest tests/unit

host: $(VENV)/dev $(VENV)/installed  ## Tests with real namespaces on this kernel, and of the OCI runtime command.
	@tools/system-packages test
	$(BIN)/pytest tests/host tests/oci

e2e: $(VENV)/dev $(VENV)/installed  ## Tests that drive the installed commands against a real daemon.
	@tools/system-packages test
	$(BIN)/pytest tests/e2e

vm: $(VENV)/dev $(VENV)/installed  ## The end-to-end tests once more, on a second kernel (user-mode Linux).
	@tools/system-packages test
	@tools/system-packages vm
	$(BIN)/pytest tests/vm

bench: $(VENV)/dev $(VENV)/installed  ## Print how long a start takes, beside runc and unshare.
	@tools/system-packages bench
	$(BIN)/python tools/bench.py $(BIN)

clean:  ## Remove the virtual environment and caches of this checkout.
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@tools/system-packages venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/locked: requirements.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/locked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

# Not editable, and compiled: a start must not pay for compiling, whatever PYTHONDONTWRITEBYTECODE says.
$(VENV)/installed: $(SOURCES) $(VENV)/locked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	$(BIN)/python -m compileall -q $(VENV)/lib || true
	@touch $@
