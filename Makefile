# Needs python3 >= 3.10 and make, nothing else. `make` lists the targets.
PYTHON ?= python3
ROWS ?= 200000
ROUNDS ?= 5
ROWS_SEGMENT ?= 8000
TRIALS ?= 30
KILLS ?= 200

# the packages of .venv and no others
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test check bench chaos test-floor test-orchestrators clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/.installed ## sync a messy DuckDB warehouse to a local Xtremepush, then only what changed
	@.venv/bin/python -m pipelines.demo

test: .venv/.installed ## the whole suite, offline
	.venv/bin/python -m pytest

check: .venv/.installed ## lint, formatting, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/.installed ## whole runs against the contenders; ROWS=200000 ROUNDS=5 ROWS_SEGMENT=8000
	@.venv/bin/python -m tests.benchmarks --rows $(ROWS) --rounds $(ROUNDS)
	@.venv/bin/python -m tests.benchmarks.segment --rows $(ROWS_SEGMENT)

chaos: .venv/.installed ## 200 SIGKILLs over 30 trials with faults; what the sandbox saw is judged
	.venv/bin/python -m tests.chaos --trials $(TRIALS) --kills $(KILLS)

test-floor: .venv-floor/.installed ## the suite with the oldest dlt that is supported
	.venv-floor/bin/python -m pytest

test-orchestrators: .venv-airflow/.installed .venv-dagster/.installed ## the sync under the real Airflow and the real Dagster
	.venv-airflow/bin/python -m pytest tests/orchestrators/test_airflow.py
	.venv-dagster/bin/python -m pytest tests/orchestrators/test_dagster.py

clean: ## remove what these targets made
	rm -rf .venv .venv-floor .venv-airflow .venv-dagster .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed once, and again when pyproject.toml changes. The stamp comes last, so that an
# installation that was cut short is repeated.
.venv/.installed: pyproject.toml
	$(call install,.venv,)

.venv-floor/.installed: pyproject.toml
	$(call install,.venv-floor,"dlt==1.30.0")

# each pins much of what the other, and the tools, want newer: one environment for each
.venv-airflow/.installed: pyproject.toml
	$(call install,.venv-airflow,"apache-airflow==3.3.2")

.venv-dagster/.installed: pyproject.toml
	$(call install,.venv-dagster,"dagster-dlt==0.29.27")

define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo "$(PYTHON) is older than Python 3.10. Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
@echo "Installing into $(1) ..."
@$(PYTHON) -m venv --clear $(1)
@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" $(2)
@touch $@
endef
