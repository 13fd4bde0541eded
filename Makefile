# `make demo` and `make test` are all a fresh machine needs: both make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test slow faults recipes check format bench experiments docs clean

help:
	@echo "make demo          one minute of training on the built-in corpus, then a completion"
	@echo "make test          the tests, under ten minutes on two cores"
	@echo "make slow          the tests that are too long for that: an empty environment, every recipe, every form"
	@echo "make faults        what is promised when something fails, at full length: fifteen minutes on four cores"
	@echo "make recipes       every recipe shortened, as a test"
	@echo "make check         formatting, lint, types, import contracts"
	@echo "make bench         the figures of docs/log.md beside their goals, ten minutes on four cores"
	@echo "make experiments   every recipe whole, for docs/experiments.md; DATA=folder of the texts, NAMES='some of them'"
	@echo "make docs          the pictures of the README and the reference of the API"

# a stamp that is younger than pyproject.toml says that the environment is complete
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/rnn-tui demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto -m slow

faults: $(VENV)/.installed
	RNN_TUI_FAULTS=long $(BIN)/python -m pytest -n auto -m 'slow or not slow' tests/faults

recipes: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow tests/recipes

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/faults/unescaped.py

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

DATA ?=
NAMES ?=
experiments: $(VENV)/.installed
	$(BIN)/python -m benchmarks.experiments $(if $(DATA),--data $(DATA)) $(NAMES)

docs: $(VENV)/.installed
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) dist build
