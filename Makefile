# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLUGINS := $(wildcard plugins/*/pyproject.toml)

.PHONY: demo test test-all lint bench paper-table clean

demo: $(STAMP)
	$(BIN)/pncviz demo

# Core and every distribution under plugins/, in one run: one closing line.
test: $(STAMP)
	$(BIN)/python -m pytest tests pncviz plugins

test-all: $(STAMP)
	$(BIN)/python -m pytest tests pncviz plugins -m "not gpu"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.speed.bench_extract
	$(BIN)/python -m benchmarks.speed.bench_contrast

# The table of the README: MNIST, from $$PNCVIZ_DATA.
paper-table: $(STAMP)
	$(BIN)/python -m benchmarks.paper.mnist_fc

$(STAMP): pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	for plugin in $(dir $(PLUGINS)); do \
		$(BIN)/python -m pip install --quiet --no-deps --editable $$plugin || exit 1; \
	done
	touch $@

clean:
	rm -rf $(VENV) build dist pncviz-demo
