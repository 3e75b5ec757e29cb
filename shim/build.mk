# Included by the Makefile. PYTHON is the interpreter of the development environment.
SHIM_SOURCES := shim/multus-shim.c shim/wire.h scripts/build_shim.py
SHIM_PYTHON ?= .venv/bin/python

.PHONY: shim shim-all shim-fuzz

shim: build/multus-shim ## multus-shim for this machine

build/multus-shim: $(SHIM_SOURCES)
	$(SHIM_PYTHON) scripts/build_shim.py $@

shim-all: ## multus-shim for every architecture (needs the ziglang package)
	$(SHIM_PYTHON) scripts/build_shim.py --all build/shim

shim-fuzz: ## ten million mutations through the shim's fuzzer
	$(SHIM_PYTHON) scripts/build_shim.py --fuzz --own-driver build/shim-fuzz
	build/shim-fuzz 10000000 $$$$ shim/seeds/*
