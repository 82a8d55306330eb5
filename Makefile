# `make help` lists the targets. CI runs `make test`, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLUSTER := $(PYTHON) tests/cluster
# Tests start Python hundreds of times: what is compiled is kept, whatever the machine says.
export PYTHONDONTWRITEBYTECODE =
# KUBECONFIG, and kubectl and Helm on PATH, for one recipe line.
with-cluster = eval "$$($(CLUSTER) env)";

say = @printf '\n==> %s\n' '$(1)'

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

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

.PHONY: lock
lock: venv ## Resolve requirements/*.txt anew from pyproject.toml
	$(call say,resolving requirements)
	@resolve() { $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --upgrade "$$@"; }; \
	compile() { resolve --universal --python-version 3.11 "$$@"; }; \
	compile --output-file requirements/dev.txt pyproject.toml --all-extras --group dev; \
	for extra in operator steps cli gateway; do compile --constraints requirements/dev.txt --output-file requirements/$$extra.txt pyproject.toml --extra $$extra; done; \
	compile --output-file requirements/go.txt --group pyproject.toml:go; \
	for minor in 13 14 15 16; do compile --output-file requirements/gcapi-0.$$minor.txt --group pyproject.toml:gcapi-0-$$minor; done; \
	resolve --python-version 3.12 --python-platform x86_64-manylinux_2_28 --output-file requirements/shim.txt --group pyproject.toml:shim

# --- checks that need no cluster ---------------------------------------------------------------------------

.PHONY: unit
unit: venv ## Unit tests, without a cluster
	$(call say,unit tests)
	@$(BIN)/pytest tests/unit -n 3 --dist worksteal

.PHONY: gateway
gateway: venv ## Tests of the gateway and of the gcapi clients with it, without a cluster
	$(call say,the gateway without a cluster)
	@$(BIN)/pytest tests/gateway tests/gcapi -n 3

.PHONY: fuzz
fuzz: MINUTES ?= 10
fuzz: venv ## Hostile files, other ones each time, for MINUTES (10)
	@$(BIN)/python tests/hostile/fuzz.py $(MINUTES)

.PHONY: lint
lint: venv ## ruff, mypy --strict and the import contracts
	$(call say,lint)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy operator tests deploy $(wildcard scripts/*.py)
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: venv ## Format the Python code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: runner
runner: build/runner ## Build the runner (PID 1 of the algorithm) into build/

build/runner: $(wildcard runner/*.go runner/go.mod runner/go.sum)
	$(call say,runner)
	@mkdir -p build
	@cd runner && CGO_ENABLED=0 ../scripts/go build -mod=readonly -trimpath -buildvcs=false -ldflags '-s -w' -o ../$@ .

.PHONY: runner-test
runner-test: ## Vet and test the runner
	$(call say,runner tests)
	@cd runner && ../scripts/go vet ./... && ../scripts/go test ./...

# --- generated files ---------------------------------------------------------------------------------------

.PHONY: crds
crds: venv ## Generate crds/ from the API models
	@$(BIN)/python -m algorithm_operator.api.crd crds

.PHONY: docs
docs: venv ## Write docs/contract.md from the kinds and the examples in their tests
	@$(BIN)/python -m tests.contract_table

.PHONY: manifests
manifests: crds ## Render the chart's CRDs and deploy/ (with the test cluster's Helm)
	@$(with-cluster) $(BIN)/python deploy/render.py

.PHONY: check-generated
check-generated: venv ## Fail if a generated file is not current
	$(call say,generated files are current)
	@$(BIN)/python -m algorithm_operator.api.crd --check crds
	@$(BIN)/python -m tests.contract_table --check
	@$(with-cluster) $(BIN)/python deploy/render.py --check

# --- the test cluster --------------------------------------------------------------------------------------

.PHONY: cluster-up
cluster-up: ## Start the test cluster (builds it the first time) or use the running one
	$(call say,test cluster)
	@$(CLUSTER) up

.PHONY: cluster-status
cluster-status: ## Say what runs
	@$(CLUSTER) status

.PHONY: cluster-down
cluster-down: ## Stop the test cluster and take away all that is its own
	@$(CLUSTER) down

.PHONY: images
images: ## Build the images and push them to the test cluster's registry
	$(call say,images)
	@$(CLUSTER) build-images

.PHONY: chart
chart: venv cluster-up ## Tests of the chart
	@$(with-cluster) $(BIN)/pytest tests/chart

.PHONY: e2e
e2e: venv cluster-up images ## Tests of whole jobs
	@$(with-cluster) $(BIN)/pytest tests/e2e

.PHONY: demo
demo: venv cluster-up images ## A real brain MRI through a sealed job, by kubectl and by gcapi
	@$(with-cluster) $(BIN)/python scripts/demo.py

.PHONY: browser
browser: venv ## Tests of the report in a real browser
	@scripts/bootstrap 'command -v chromium' chromium
	@$(BIN)/pytest tests/browser

.PHONY: bench
bench: venv cluster-up images ## Measure
	@$(with-cluster) $(BIN)/pytest tests/bench -m bench -s

# --- all of it ---------------------------------------------------------------------------------------------

.PHONY: test
test: ## Every test: the unit tests first and alone, then all others on one cluster
	@$(MAKE) unit
	@$(MAKE) gateway
	@$(MAKE) lint
	@$(MAKE) runner-test
	@$(MAKE) cluster-up
	@$(MAKE) check-generated
	@$(MAKE) images
	@scripts/bootstrap 'command -v chromium' chromium
	$(call say,tests on the cluster)
	@$(with-cluster) $(BIN)/pytest tests examples --ignore=tests/unit --ignore=tests/gateway --ignore=tests/gcapi -m 'not bench' --durations=15 --durations-min=1

.PHONY: clean
clean: ## Remove what was built here; the cluster and its cache stay
	@rm -rf build dist demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 -r rm -rf
