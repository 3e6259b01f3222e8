# Two commands matter: make demo, make test. Each makes its own environment, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test check lint bench clean

.venv/stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Troth needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { [ "$$(id -u)" = 0 ] && apt-get install -y python3-venv && $(PYTHON) -m venv --clear .venv; } \
		|| { echo "This Python cannot make environments: install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . pytest pytest-xdist hypothesis jsonschema mypy ruff
	@touch $@

demo: .venv/stamp
	$(BIN)/troth demo

test: lint check

check: .venv/stamp
	$(BIN)/python -m pytest -n 2 -q

lint: .venv/stamp
	$(BIN)/ruff check src tests
	$(BIN)/mypy

bench: .venv/stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv
