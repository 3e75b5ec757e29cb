# The commands of this project; `make` lists them. CONTRIBUTING.md and docs/development.md tell more.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
STAMP := $(VENV)/.setup-done

# What to try, e.g. make test PYTEST_ARGS="-k passthru", make fuzz FUZZ_SECONDS=60, make bench BENCH_ARGS="--json b.json"
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 600
SECONDS ?= 600
BENCH_ARGS ?=
DEMO_ARGS ?=

.PHONY: help setup demo check test bench fuzz soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## packages (as root), .venv with the locked dependencies, the executables
	@scripts/setup system

$(STAMP): pyproject.toml uv.lock $(wildcard scripts/* shim/*.[ch])
	@scripts/setup all
	@touch $@

demo: setup ## Multus with real plugins in network namespaces of this machine (root)
	@$(VENV)/bin/multusctl demo $(DEMO_ARGS)

check: setup ## lint, format, types, import rules
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test: setup ## all tests: unit, HTTP, network namespaces (root)
	@scripts/setup tests
	$(VENV)/bin/pytest $(PYTEST_ARGS)

bench: setup ## what one call costs, one-shot and with the daemon, against bare things (root)
	@$(VENV)/bin/python -m compileall -q src/multus
	@$(VENV)/bin/python benchmarks/bench.py $(BENCH_ARGS)
	@$(VENV)/bin/python benchmarks/thick.py $(BENCH_ARGS)
	@$(VENV)/bin/python benchmarks/devices.py

fuzz: setup ## hostile input for FUZZ_SECONDS (600)
	@$(VENV)/bin/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS)

soak: setup ## the daemon's memory and descriptors over SECONDS (600) of pods that come and go (root)
	@$(VENV)/bin/python tests/soak/soak.py --seconds $(SECONDS)

include shim/build.mk
include cluster.mk
include dist.mk

clean: ## remove the venv and everything generated
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
