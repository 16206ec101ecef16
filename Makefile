# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types unit promises permissions reference faults canaries bench package lock clean

demo: $(STAMP)
	$(BIN)/pantok demo

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cfn-lint infra/template.yaml infra/watch.yaml infra/network.yaml

types: $(STAMP)
	$(BIN)/mypy

unit: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m tests.promises --check

# Writes the README's table of promises from the last complete run of the tests.
promises: $(STAMP)
	$(BIN)/python -m tests.promises

# Writes docs/permissions.md from the template's policies.
permissions: $(STAMP)
	$(BIN)/python -m tests.permissions

# Writes the pages of docs/ that are made from code and template: reasons, commands, parameters.
reference: $(STAMP)
	$(BIN)/python -m tests.reference

# Faults at every AWS request and at random: `make faults SCHEDULES=5000`, `make faults SEED=123`.
faults: $(STAMP)
	$(BIN)/python -m tests.faults $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

# Card numbers through every failure path: lists the paths, the surfaces and the encodings.
canaries: $(STAMP)
	$(BIN)/python -m tests.canaries

# Speed and memory beside what one would write otherwise: a quarter of an hour on a quiet machine.
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(if $(ROWS),--rows $(ROWS)) $(if $(RUNS),--runs $(RUNS))
	$(BIN)/python -m benchmarks.readme

# What Lambda runs, for both processors: `make package ARCHITECTURE=arm64`, `EXTRA=formats`.
package: $(STAMP)
	$(BIN)/python -m infra.artifact $(if $(ARCHITECTURE),--architecture $(ARCHITECTURE)) \
		$(if $(EXTRA),--extra $(EXTRA)) $(if $(BYTECODE),--bytecode $(BYTECODE))

$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Resolves every dependency anew, for all platforms, with hashes.
lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade \
		-o constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) .pantok build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
