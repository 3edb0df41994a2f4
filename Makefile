# What this is: the commands of a checkout. `make demo` and `make test` need nothing but Python.
#
#   make demo       two sites, a real line, a real disk image; ARGS="--out DIR" goes to the demo
#   make test       every check, then every test; what CI runs
#   make compile    machine code of the sources, where gcc and Python's headers are
#   make slow       the long tests: the whole demo with tampering, the bug zoo, wide seeds
#   make check      only what does not run tests: format, lint, types, imports, spelling, docs
#   make generate   write the files derived from emulator/wire/layout.py
#   make docs       the manual, as HTML in rig/docs/_build/html
#   make clean      remove everything that make made
#
# All packages go into .venv; nothing is installed outside this folder. PYTHON=... picks another
# interpreter, PYTEST_ARGS=... goes to pytest (`make test PYTEST_ARGS="-k link"`).

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test slow check compile generate docs clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# Two workers: the suite's own processes (sites, peers) are at work beside them.
TEST_WORKERS ?= 2
MACHINE_CODE_TESTS := $(addprefix tests/,cache channel compiled contract copy disk frontend link node nvs \
    record transport wire)

demo: $(VENV)/.run
	@$(BIN)/dualcopy demo $(ARGS)

# The tests run the sources; sites, commands and workers that they start run machine code, and so do
# the unit tests once more.
test: check compile
	@$(BIN)/pytest -q -n $(TEST_WORKERS) -m "not performance and not slow" $(PYTEST_ARGS)
	@test -e emulator/compiled.json || echo "make: no machine code here, so it is not tested"
	@! test -e emulator/compiled.json || \
	    MACHINE_CODE=1 $(BIN)/pytest -q -n $(TEST_WORKERS) -m "not performance and not slow" \
	    $(MACHINE_CODE_TESTS) $(PYTEST_ARGS) || test $$? -eq 5
	@# Measurements last, in one process, so that nothing else takes the processor from them.
	@# pytest ends with 5 when PYTEST_ARGS has left none of them.
	@! grep -rqs --include='*.py' 'mark\.performance' tests || \
	    $(BIN)/pytest -q -m performance -p no:xdist $(PYTEST_ARGS) || test $$? -eq 5

slow: $(VENV)/.dev
	@$(BIN)/pytest -q -m slow $(PYTEST_ARGS)

# 77: this machine cannot; CI must.
compile: $(VENV)/.dev
	@$(BIN)/dualcopy compile || test $$? -eq 77 -a -z "$(CI)"

check: $(VENV)/.dev
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@$(BIN)/codespell
	@$(MAKE) docs

generate: $(VENV)/.dev
	@$(BIN)/python -m emulator.wire.generate

docs: $(VENV)/.dev
	@$(BIN)/sphinx-build -q -W --keep-going -b html rig/docs rig/docs/_build/html

clean:
	@rm -rf $(VENV) rig/docs/_build rig/docs/_generated build dist *.egg-info
	@rm -f *.so emulator/compiled.json
	@find emulator rig -name '*.so' -delete
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find emulator rig tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: .run has what users need, .dev what checks need; each is newer than pyproject.toml.
$(VENV)/.run: pyproject.toml | $(VENV)/.made
	@echo "make: installing what dualcopy needs into $(VENV) (only once)"
	@$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	@echo "make: installing what its checks need into $(VENV) (only once)"
	@$(PIP) install -e '.[campaign,compile,dev,report]'
	@touch $@

$(VENV)/.made:
	@.ci/venv $(VENV)
	@touch $@
