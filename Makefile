.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

CARGO_FLAGS ?= --locked
# What `make bench` measures; its --help tells more.
ARGUMENTS ?= all
# How long `make fuzz` spends on each target.
SECONDS ?= 20
# How often `make soak` kills the worker.
KILLS ?= 1000
# The architectures that `make release` makes plugins and wheels for, besides this machine's own.
OTHER_ARCHITECTURES ?= arm64
# How long the containers of `make scale` print.
MINUTES ?= 10
# Which tests `make test-docker` runs.
DOCKER_TESTS ?= tests/docker
# The engines that test-docker runs on; test-engines adds the newest.
ENGINES ?= 20.10 26.1

# What logboom says it was built from.
export LOGBOOM_COMMIT := $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)

SETUP := packaging/setup.sh
VENV := .venv/bin
export PATH := $(CURDIR)/$(VENV):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
RUN := PYTHONPATH=$(CURDIR) $(VENV)/python

.PHONY: demo  ## Shows Logboom on a private engine that is thrown away afterwards
demo:
	@$(SETUP) compiler build rootfs engine
	@$(MAKE) plugin
	@$(RUN) packaging/demo.py

.PHONY: test  ## All tests, on a real engine too
test: test-rust test-python test-docker

.PHONY: check  ## Format, lints, types, import directions: all that needs no test run
check: check-rust check-python

.PHONY: plugin  ## Makes build/plugin, ready for `docker plugin create logboom build/plugin`
plugin:
	@$(SETUP) compiler build rootfs
	@$(MAKE) --jobs=3 build/init/logboom-init build/wheel build/base
	@$(RUN) packaging/rootfs.py plugin --init build/init/logboom-init --wheel build/wheel/*.whl

.PHONY: install  ## Puts the plugin into this machine's engine, or upgrades it there
install:
	@$(SETUP) build
	@$(RUN) packaging/install.py check
	@$(MAKE) plugin
	@$(RUN) packaging/install.py install

.PHONY: uninstall  ## Takes the plugin out of this machine's engine; logs stay
uninstall:
	@$(SETUP) build
	@$(RUN) packaging/install.py uninstall

.PHONY: release  ## Makes build/release/VERSION: plugins, wheels, notes, checksums; OTHER_ARCHITECTURES= is for this machine's only
release: plugin $(OTHER_ARCHITECTURES:%=build/%/plugin)
	@$(SETUP) development
	@$(RUN) packaging/release.py gather $(OTHER_ARCHITECTURES)

.PHONY: publish  ## Pushes the plugins of a release to REPOSITORY (registry.example/logboom)
publish:
	@$(RUN) packaging/release.py publish $(REPOSITORY)

.PHONY: bench  ## Measures Logboom beside Docker's own drivers; ARGUMENTS=--help tells more
bench: plugin
	@$(SETUP) development engine
	@$(RUN) -m benches $(ARGUMENTS)

.PHONY: format  ## Formats everything
format:
	@$(SETUP) compiler lints development
	cargo fmt --all
	ruff check --fix .
	ruff format .

.PHONY: test-rust  ## The Rust tests
test-rust:
	@$(SETUP) compiler build
	cargo test $(CARGO_FLAGS) --workspace

.PHONY: test-python  ## The Python tests that need no engine
test-python: develop
	@$(SETUP) disks
	pytest -m "not docker"

.PHONY: test-docker  ## The tests on private engines; ENGINES="20.10" takes only that one
test-docker: develop plugin
	@$(SETUP) engine compose
	LOGBOOM_TEST_ENGINES="$(ENGINES)" pytest -m docker $(DOCKER_TESTS)

.PHONY: soak  ## Kills the worker on an engine, KILLS=1000 times, under a hundred quiet containers and some busy ones
soak: ENGINES = 20.10
soak: develop plugin
	@$(SETUP) engine
	LOGBOOM_TEST_ENGINES="$(ENGINES)" LOGBOOM_TEST_KILLS="$(KILLS)" LOGBOOM_TEST_QUIET=100 \
		pytest -m docker tests/docker/test_worker_kills.py

.PHONY: scale  ## A thousand containers for MINUTES=10, then 20,000 short ones, measured
scale:
	@$(SETUP) compiler development
	PIP_QUIET=1 maturin develop --quiet --release
	LOGBOOM_TEST_SCALE=full LOGBOOM_TEST_MINUTES="$(MINUTES)" pytest tests/scale

.PHONY: test-engines  ## test-docker with the newest engine besides
test-engines:
	@$(MAKE) test-docker ENGINES="$(ENGINES) 28.5"

# Each check is a target of its own, so that `make --keep-going check` names all that is wrong.
.PHONY: check-rust
check-rust: check-rust-format check-clippy

.PHONY: check-python
check-python: check-python-format check-ruff check-types check-imports

.PHONY: check-rust-format
check-rust-format:
	@$(SETUP) compiler lints
	cargo fmt --all -- --check

.PHONY: check-clippy
check-clippy:
	@$(SETUP) compiler lints build
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: check-python-format
check-python-format:
	@$(SETUP) development
	ruff format --check .

.PHONY: check-ruff
check-ruff:
	@$(SETUP) development
	ruff check .

.PHONY: check-types
check-types: develop
	mypy
	mypy engines packaging benches
	python -m mypy.stubtest logboom._core

.PHONY: check-imports
check-imports: develop
	lint-imports

.PHONY: fuzz  ## Feeds the core any bytes; SECONDS=20 for each of six targets
fuzz:
	@$(SETUP) compiler fuzz
	rust/fuzz/run.sh $(SECONDS)

.PHONY: develop  ## Builds the core for .venv, in which logboom can then be run and changed in place
develop:
	@$(SETUP) compiler development
	PIP_QUIET=1 maturin develop --quiet

.PHONY: clean  ## Removes all that was built, but not .venv
clean:
	rm -rf build target rust/fuzz/target python/logboom/*.so

.PHONY: help  ## This list
help:
	@grep -E '^\.PHONY: .*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ".PHONY: |  ## "}; {printf "make %-13s %s\n", $$2, $$3}'

# What `plugin` puts together, made at the same time; cargo shares the cores by itself, hence MAKEFLAGS=.

# What is up to date is found out by those who make it.
.PHONY: FORCE
build/%/plugin: FORCE
	@$(SETUP) compiler build rootfs cross
	@$(RUN) packaging/cross.py $*
	@$(RUN) packaging/rootfs.py --build build/$* --architecture $* \
		plugin --init build/$*/logboom-init --wheel build/$*/wheel/*.whl

# PID 1 of the plugin is static: nothing in the root folder can break it.
.PHONY: build/init/logboom-init
build/init/logboom-init:
	@mkdir -p build/init
	MAKEFLAGS= RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" cargo build $(CARGO_FLAGS) --release \
		--package logboom-init --target "$$(rustc -vV | sed -n 's/^host: //p')" --target-dir build/cargo-init
	cp build/cargo-init/*/release/logboom-init $@

.PHONY: build/base
build/base:
	@$(RUN) packaging/rootfs.py base

.PHONY: build/wheel
build/wheel:
	@rm -rf build/wheel
	MAKEFLAGS= maturin build --release $(CARGO_FLAGS) --out build/wheel
