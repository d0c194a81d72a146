# Everything a contributor needs: make demo | test | check | docs | clean. The environment lives in .venv.
PYTHON ?= python3
# The PyTorch to test with. On Linux with the plain index it brings CUDA: choose a CPU build's index if you can.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest --quiet --cov --cov-report=
# Two workers on two cores; TensorFlow, JAX and PyTorch are large, so more would not be faster. The core's tests mostly
# wait, for gateways that do not answer.
PARALLEL := -n 2 --dist loadfile
WAITING := -n 4 --dist loadfile
# Keras trains on the first three, and predicts on all of them.
TRAINING := tensorflow jax torch
BACKENDS := $(TRAINING) openvino numpy

export TF_CPP_MIN_LOG_LEVEL ?= 3
export TF_ENABLE_ONEDNN_OPTS ?= 0

.PHONY: help demo test test-core test-servers coverage check docs dist clean $(BACKENDS:%=test-%)

help:  ## Show this help.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(VENV)/.demo  ## Train, evaluate and see the metrics: one command from nothing.
	$(BIN)/python examples/demo/demo.py

test: $(VENV)/.test servers  ## Run all tests, each Keras backend in its own process (one of them: make test-jax).
	rm -f .coverage .coverage.*
	$(MAKE) --no-print-directory test-core $(BACKENDS:%=test-%) test-servers
	$(MAKE) --no-print-directory coverage

test-core:  ## Run the tests that need no Keras.
	COVERAGE_FILE=.coverage.core $(PYTEST) $(WAITING) tests/core tests/repo

$(BACKENDS:%=test-%): test-%:
	COVERAGE_FILE=.coverage.$* KERAS_BACKEND=$* $(PYTEST) $(PARALLEL) $(if $(filter $*,$(TRAINING)),tests/with_keras) tests/inference

test-servers:  ## Run the tests against real Prometheus servers, all backends.
	COVERAGE_FILE=.coverage.servers $(PYTEST) $(PARALLEL) tests/servers tests/examples

coverage:
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: servers
servers:
	@sh scripts/install_servers.sh

check: $(VENV)/.check  ## Run all static checks.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m build --outdir dist . >/dev/null && ls dist/*.whl

docs: $(VENV)/.check  ## Serve the documentation at http://127.0.0.1:8000.
	$(BIN)/mkdocs serve

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { echo "on Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	$(PIP) --upgrade "pip>=25.1"

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable ".[tensorflow,examples,watch]"
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(PIP) "$(TORCH)"  # first, and exactly this one: the extras below are then content with it
	$(PIP) --editable ".[tensorflow,jax,torch,prometheus,opentelemetry,otlp,examples,ray,watch]" --group test
	@touch $@

$(VENV)/.check: $(VENV)/bin/python pyproject.toml
	$(PIP) --editable ".[keras,prometheus,opentelemetry,otlp,examples,watch]" --group dev
	@touch $@

clean:  ## Remove what was built, .venv included.
	rm -rf $(VENV) dist site .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
