# Two commands for a newcomer: `make demo` and `make test`. Each does its own set-up.

VENV ?= .venv
REFERENCE_VENV ?= .venv-reference
FOREIGN ?= .foreign
MUTATION_VENV ?= .venv-mutation
BIN := $(VENV)/bin

.PHONY: help demo test lint types unit test-reference test-foreign mutation picture bench format clean

help:
	@echo 'make demo            install, and watch a local model fix a bug and be scored'
	@echo 'make test            everything CI runs: lint, types, tests with coverage'
	@echo 'make test-foreign    agents of other makers, recorded (installs them from npm and PyPI)'
	@echo 'make test-reference  the engine against PyTorch (installs PyTorch in its own environment)'
	@echo 'make mutation        mutate the rules of the meter; what no test notices is listed'
	@echo 'make picture         draw the pictures of the README anew'
	@echo 'make bench           the benchmarks'
	@echo 'make format          format the code'
	@echo 'make clean           remove what these commands made'

demo:
	@tools/setup.sh $(VENV) ''
	@$(BIN)/python tools/demo.py

test: lint types unit

lint:
	@tools/setup.sh $(VENV) test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	@tools/setup.sh $(VENV) test
	$(BIN)/mypy

unit:
	@tools/setup.sh $(VENV) test
	@tools/editors.sh .editors
	$(BIN)/coverage erase
	rm -rf .reports
	$(BIN)/python tools/side_by_side.py .reports $(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/ccpa coverage --tests .reports/agent.xml --tests .reports/meter.xml

test-foreign:
	@tools/setup.sh $(VENV) test
	@tools/foreign.sh $(FOREIGN)
	CCPA_AGENTS_PATH=$(abspath $(FOREIGN))/node_modules/.bin:$(abspath $(FOREIGN))/venv/bin \
		$(BIN)/python -m pytest -m foreign -rs tests/ccpa/record

test-reference:
	@tools/setup.sh $(REFERENCE_VENV) reference
	$(REFERENCE_VENV)/bin/python -m pytest tests/reference

mutation:
	@tools/setup.sh $(MUTATION_VENV) mutation
	$(MUTATION_VENV)/bin/mutmut run
	$(MUTATION_VENV)/bin/mutmut results

picture:
	@tools/setup.sh $(VENV) test
	@$(BIN)/python tools/picture.py docs/demo.svg 'make demo' $(BIN)/python tools/demo.py
	@$(BIN)/python tools/session.py docs/session.svg

bench:
	@tools/setup.sh $(VENV) test
	$(BIN)/python benchmarks/agent_overhead.py
	$(BIN)/python benchmarks/meter.py

format:
	@tools/setup.sh $(VENV) test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(REFERENCE_VENV) $(FOREIGN) .editors .reports $(MUTATION_VENV) mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
