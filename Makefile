# Two commands matter: make demo, make test. Each makes its own environment, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test bench clean

.venv/stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable . pytest pytest-xdist hypothesis jsonschema mypy ruff
	touch $@

demo: .venv/stamp
	$(BIN)/troth demo

test: .venv/stamp
	$(BIN)/python -m pytest -n 2 -q

bench: .venv/stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv
