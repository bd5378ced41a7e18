# make demo    netlb at work, live, in network namespaces       (KEEP=1 leaves the lab up)
# make test    every test, after installing what they need     (JOBS=1 one after another)
# make check   lint, types, import contracts and the tests that need no root
# make bench   benchmarks; BENCH=arp runs one
# make clean   remove what the above made

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
PACKAGES := packages-lab packages-demo packages-test packages-bench
.PHONY: demo test check bench clean $(PACKAGES)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= *
KEEP ?=
JOBS ?= 3

# Plain `su` leaves these out, and `nft` and `dpkg` need them.
export PATH := $(PATH):/usr/sbin:/sbin

# What each needs from Debian: a file that must exist, and the package that has it.
NEEDS_lab = $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/ensurepip:python3-venv \
	/usr/sbin/ip:iproute2 /usr/sbin/nft:nftables
NEEDS_sites = /usr/bin/wireguard-go:wireguard-go /usr/sbin/iptables-restore:iptables /usr/sbin/conntrack:conntrack
NEEDS_demo = /usr/bin/gobgpd:gobgpd /usr/lib/frr/bfdd:frr /usr/sbin/sysctl:procps $(if $(KEEP),/usr/bin/curl:curl) \
	$(NEEDS_sites) /usr/bin/ping:iputils-ping
NEEDS_test = /usr/sbin/sysctl:procps /usr/bin/clang:clang /usr/bin/cc:gcc /usr/include/stdio.h:libc6-dev \
	/usr/bin/gobgpd:gobgpd /usr/lib/frr/bgpd:frr /usr/sbin/bird:bird2 /usr/sbin/exabgp:exabgp /usr/bin/openssl:openssl \
	/usr/bin/kubectl:kubernetes-client /usr/bin/systemd-analyze:systemd \
	$(NEEDS_sites) /usr/bin/wg:wireguard-tools /usr/bin/ping:iputils-ping \
	/usr/sbin/charon-systemd:charon-systemd /usr/lib/ipsec/plugins/libstrongswan-gcm.so:libstrongswan-standard-plugins \
	/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so:libcharon-extra-plugins
NEEDS_bench = /usr/bin/cc:gcc /usr/include/stdio.h:libc6-dev /usr/sbin/farpd:farpd /usr/sbin/ndppd:ndppd \
	/usr/bin/iperf3:iperf3 /usr/sbin/keepalived:keepalived /usr/bin/gobgpd:gobgpd /usr/lib/frr/bgpd:frr /usr/sbin/bird:bird2 \
	$(NEEDS_sites) /usr/bin/wg:wireguard-tools

# pytest keeps the temporary directories of three runs; here they go when it ends. Sockets in them need short paths.
PYTEST = tmp=$$(mktemp -d /tmp/netlb.XXXX); trap 'rm -rf "$$tmp"' EXIT; PYTEST_DEBUG_TEMPROOT="$$tmp" $(BIN)/python -m pytest
# Most tests wait, for packets and timers, most of the time. Files are not torn apart: their tests may share a world.
SIDE_BY_SIDE = -n $(JOBS) --dist loadfile
PIP = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check

$(PACKAGES): packages-%:
	@tools/debian-packages $(NEEDS_$*)

# Without a stamp, what is in the environment may be half of an install: it is made anew. One `make` at a time installs.
$(VENV)/.stamp: setup.cfg pyproject.toml | packages-lab
	@exec 9<Makefile; flock 9; \
	if [[ $@ -nt setup.cfg && $@ -nt pyproject.toml ]]; then exit 0; fi; \
	echo "installing netlb and its tools into $(VENV)"; \
	[[ -e $@ ]] || $(PYTHON) -m venv --clear $(VENV); \
	$(PIP) --upgrade 'setuptools>=77' pip; \
	$(PIP) --editable '.[test,bench]'; \
	touch $@

demo: $(VENV)/.stamp | packages-demo
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

test: packages-test check
	@$(PYTEST) $(SIDE_BY_SIDE) tests/contract tests/wiring tests/e2e

check: $(VENV)/.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PYTEST) $(SIDE_BY_SIDE) tests/unit tests/cases tests/property tests/golden tests/fuzz

bench: $(VENV)/.stamp | packages-bench
	@$(PYTEST) benchmarks/bench_$(BENCH).py --benchmark-only -s

clean:
	@if test -x $(BIN)/python; then $(BIN)/python -m netlb.testing.lab sweep || true; fi
	@for run in build/demo-*/run; do if [[ -L $$run ]]; then rm -rf "$$(readlink "$$run")"; fi; done
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
