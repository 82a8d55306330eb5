# `make help` lists the targets. CI runs `make test`, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
GO_SERIES := 1.26
VENV := .venv
BIN := $(VENV)/bin
CLUSTER := $(PYTHON) tests/cluster

say = @printf '\n==> %s\n' '$(1)'

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

# --- development environment -------------------------------------------------------------------------------

.PHONY: venv
venv: $(VENV)/.complete ## Create .venv from the hashed lock

$(VENV)/.complete: requirements/dev.txt pyproject.toml
	$(call say,development environment in $(VENV))
	@scripts/bootstrap '$(PYTHON) -c "import ensurepip, venv"' 'python3 python3-venv' 'command -v git' git
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, $(PYTHON) is %d.%d: make PYTHON=... venv" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
