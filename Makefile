# make demo    the main job, live, in network namespaces        (KEEP=1 leaves the lab up)
# make test    every test, after installing what they need
# make check   lint, types, import contracts and the tests that need no root
# make bench   benchmarks; BENCH=arp runs one
# make clean   remove what the above made

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test check bench clean packages bench-packages

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= *
KEEP ?=

# What the lab, the tests and the benchmarks need from Debian: a file that must exist, and the package that has it.
LAB_NEEDS := /usr/share/doc/python3-venv:python3-venv /usr/sbin/ip:iproute2 /usr/sbin/nft:nftables
BENCH_NEEDS := $(LAB_NEEDS) /usr/bin/cc:gcc /usr/include/stdio.h:libc6-dev /usr/sbin/farpd:farpd /usr/sbin/ndppd:ndppd

packages:
	@tools/debian-packages $(LAB_NEEDS)

bench-packages:
	@tools/debian-packages $(BENCH_NEEDS)

$(VENV)/.stamp: setup.cfg pyproject.toml | packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing netlb and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'setuptools>=77' pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

demo: $(VENV)/.stamp
	@$(BIN)/python examples/demo.py $(if $(KEEP),--keep)

test: check
	@$(BIN)/python -m pytest tests/contract tests/wiring tests/e2e

check: $(VENV)/.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/unit tests/property tests/golden tests/fuzz

bench: $(VENV)/.stamp | bench-packages
	@$(BIN)/python -m pytest benchmarks/bench_$(BENCH).py --benchmark-only -s

clean:
	@if test -x $(BIN)/python; then $(BIN)/python -m netlb.testing.lab sweep || true; fi
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
