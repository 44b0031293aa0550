# Set-up and checks, one word each. Every target makes the environment it needs first; `make help` lists them.
# Nothing here names a package index or a proxy: pip and the tests see the environment as it is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up test test-slow frameworks check format generate constraints clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1  @/p' Makefile | awk -F @ '{ printf "%-18s %s\n", $$1, $$2 }'

up: $(VENV)/.all ## install, then run the platform with its demo (ARGS="--port 8080")
	@exec $(BIN)/luml up --demo $(ARGS)

test: $(VENV)/.dev ## install, then run the tests (ARGS="tests/storage -k ranges")
	$(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev ## run the long tests, then the benchmarks, which want the machine for themselves
	$(BIN)/python -m pytest -n 2 -m slow --ignore tests/benchmarks $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m pytest -m slow tests/benchmarks)

frameworks: $(VENV)/.dev ## install the libraries of which models are stored, for their tests
	@$(BIN)/python -m pip install --quiet --editable '.[dev,frameworks]' --constraint constraints.txt

check: $(VENV)/.dev ## style, types, import rules, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m luml_app.web.clients --check
	$(BIN)/python -m luml_app.web.reference --check

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev ## write the generated files again: the typed clients, the reference page
	$(BIN)/python -m luml_app.web.clients
	$(BIN)/python -m luml_app.web.reference

constraints: $(VENV)/.dev ## pin what is installed now: run it after the tests have passed
	$(BIN)/pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | sed 's/+.*//' > constraints.txt
	@touch $(VENV)/.all $(VENV)/.dev

clean: ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

# A stamp per set of extras: pip runs again only when the dependencies or their pins have changed.
# `.dev` contains everything of `.all`, so that `make test` and `make up` share one environment.
$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing LUML into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --editable '.[all]' --constraint constraints.txt
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing LUML and its test tools into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $(VENV)/.all $@

# A half-made environment would be taken for a whole one by the next run, so it is removed.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "LUML needs Python 3.11 or newer, which $(PYTHON) is not: run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
