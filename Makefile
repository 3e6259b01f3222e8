# Two commands matter: make demo, make test. Each makes its own environment, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: demo test check lint fuzz oldest docs bench lock clean

.venv/stamp: pyproject.toml locks/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Troth needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { [ "$$(id -u)" = 0 ] && apt-get install -y python3-venv && $(PYTHON) -m venv --clear .venv; } \
		|| { echo "This Python cannot make environments: install python3-venv"; exit 1; }
	$(BIN)/python $(PIP) install --require-hashes -r locks/dev.txt
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/stamp
	$(BIN)/troth demo

test: lint check

check: .venv/stamp
	@tests/install-servers
	$(BIN)/python -m pytest -n 2 -q

lint: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The API's document against the application, with many more and other examples of each operation than the tests ask for.
fuzz: .venv/stamp
	TROTH_FUZZ_EXAMPLES=$${TROTH_FUZZ_EXAMPLES:-1000} $(BIN)/python -m pytest -n 2 -q tests/server/test_document.py

# The lowest versions that pyproject.toml promises to work with.
.venv-oldest/stamp: pyproject.toml locks/oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python $(PIP) install --require-hashes -r locks/oldest.txt
	.venv-oldest/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

oldest: .venv-oldest/stamp
	.venv-oldest/bin/python -m pytest -n 2 -q

.venv-docs/stamp: pyproject.toml locks/docs.txt
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python $(PIP) install --require-hashes -r locks/docs.txt
	.venv-docs/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Every command in the pages is run, and what it printed is written into them; then the pages are built.
docs: .venv-docs/stamp
	.venv-docs/bin/python docs/make_reference.py
	.venv-docs/bin/python docs/tell.py
	.venv-docs/bin/python -m sphinx -W -q -b html docs docs/_build

bench: .venv/stamp
	$(BIN)/python -m benchmarks

LOCK := $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --quiet pyproject.toml --extra stapling --extra server

lock: .venv/stamp
	$(BIN)/python $(PIP) install uv
	$(LOCK) --group dev -o locks/dev.txt
	$(LOCK) --group build --group docs -o locks/docs.txt
	$(LOCK) --resolution lowest-direct --group build --group test -o locks/oldest.txt

clean:
	rm -rf .venv .venv-oldest .venv-docs docs/_build
