# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SITE := build/plugins
PLUGINS := $(wildcard plugins/*/pyproject.toml)

.PHONY: demo test test-all test-plugins lint bench paper paper-quick paper-table attacks attacks-quick any-classifier any-classifier-quick evidence clean

demo: $(STAMP)
	$(BIN)/pncviz demo

# Core without any plugin, then every distribution under plugins/ installed beside it.
test: $(STAMP)
	$(BIN)/python -m pytest tests pncviz
	$(MAKE) test-plugins

test-all: $(STAMP)
	$(BIN)/python -m pytest tests pncviz -m "not gpu"
	$(MAKE) test-plugins

test-plugins: $(SITE)
	PYTHONPATH=$(SITE) $(BIN)/python -m pytest plugins

# The distributions beside pncviz, in a folder of their own: core is tested without them.
$(SITE): $(STAMP) FORCE
	rm -rf $(SITE)
	$(BIN)/python -m pip install --quiet --no-deps --target $(SITE) $(dir $(PLUGINS))

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# docs/performance.md: half an hour, with nothing else running.
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,bench]"
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed.inference

# docs/evidence.md: how often each null errs, and what it finds; MNIST from $$PNCVIZ_DATA.
evidence: $(STAMP)
	$(BIN)/python -m benchmarks.paper.evidence

# docs/paper.md: every table and figure of the paper; hours, and MNIST from $$PNCVIZ_DATA.
# Run it again after any interruption: only what is missing is done.
paper: $(STAMP)
	$(BIN)/python -m benchmarks.paper --jobs 2

# build/paper-quick/paper.md: a small version, on data that need no file.
paper-quick: $(STAMP)
	$(BIN)/python -m benchmarks.paper --quick --jobs 2

# docs/attacks.md: the white-box family on MNIST, from $$PNCVIZ_DATA; hours, in parts like paper.
attacks: $(SITE)
	PYTHONPATH=$(SITE) $(BIN)/python -m benchmarks.attacks --jobs 2

# build/attacks-quick/attacks.md: a small version, on data that need no file.
attacks-quick: $(SITE)
	PYTHONPATH=$(SITE) $(BIN)/python -m benchmarks.attacks --quick --jobs 2

# docs/any-classifier.md: scikit-learn's classifiers and black boxes, on MNIST and Fashion-MNIST from
# $$PNCVIZ_DATA; hours, in parts like paper.
any-classifier: $(SITE)
	PYTHONPATH=$(SITE) $(BIN)/python -m benchmarks.anyclassifier --jobs 2

# build/any-classifier-quick/any-classifier.md: a small version, on data that need no file.
any-classifier-quick: $(SITE)
	PYTHONPATH=$(SITE) $(BIN)/python -m benchmarks.anyclassifier --quick --jobs 2

# The table of the README: MNIST, from $$PNCVIZ_DATA.
paper-table: $(STAMP)
	$(BIN)/python -m benchmarks.paper.mnist_fc

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

FORCE:

clean:
	rm -rf $(VENV) build dist pncviz-demo
