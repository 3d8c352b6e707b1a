# setup: a virtual environment with everything pinned; demo, test and check call it themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
WORKERS ?= 2
DEMO    ?= demo-out

.PHONY: setup demo serve-demo test test-fast check lint types imports docs format bench coverage clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

# PyTorch goes in first and alone, so that no other package chooses a build of it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/tapetum demo $(DEMO_ARGS)

# the page on the demo's gallery, which is made first where there is none
serve-demo: setup
	test -f $(DEMO)/gallery/gallery.json || $(BIN)/tapetum demo --out $(DEMO) $(DEMO_ARGS)
	$(BIN)/tapetum serve --gallery $(DEMO)/gallery --model $(DEMO)/runs/lsmrl $(SERVE_ARGS)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90 $(TEST_ARGS)

test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow" -q $(TEST_ARGS)

check: lint types imports docs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python tools/check_docs.py
	$(BIN)/python tools/comparison_tables.py --check

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/tapetum bench $(BENCH_ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage*
