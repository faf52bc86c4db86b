# Two commands for a newcomer: `make demo` and `make test`. The rest of the logic is in tools/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help demo train-demo test lint install clean

SENTENCE ?= pick up the bead with the tweezers and drop it in the cup
ARGS ?=

INSTALLED := .venv/.installed
export SENTENCE
export CUSTOM_PYTHON := $(PYTHON)

# The environment holds absolute paths: in a copied or moved folder it has to be made anew.
ifneq ($(shell cat $(INSTALLED) 2>/dev/null),$(CURDIR))
.PHONY: $(INSTALLED)
endif

help:
	@echo 'Toolwright: a robot arm with a dexterous hand uses tools, from a sentence.'
	@echo
	@echo '  make demo        the arm picks a bead with tweezers and drops it in a cup; video in runs/demo/'
	@echo '  make test        run all tests'
	@echo '  make train-demo  train the hand for a few minutes and watch the curve'
	@echo '  make lint        check style and types'
	@echo '  make install     only make the environment (every target above does, once)'
	@echo '  make clean       remove the environment and caches; runs/ stays'
	@echo
	@echo 'Options: make demo SENTENCE="put the bead down"   make test ARGS="-k scene"   make install PYTHON=python3.12'
	@echo 'Everything goes into .venv (about 4 GB). Afterwards: .venv/bin/toolwright --help'

$(INSTALLED): pyproject.toml requirements.lock requirements-ros.lock tools/setup.sh
	@tools/setup.sh

install: $(INSTALLED)
	@echo 'Ready: .venv/bin/toolwright --help'

demo: $(INSTALLED)
	@.venv/bin/toolwright do "$$SENTENCE" --video runs/demo/demo.mp4 --json runs/demo/demo.json

train-demo: $(INSTALLED)
	@.venv/bin/toolwright train held_tool --demo

# Two workers, each with one thread for linear algebra: more threads than cores cost half the speed.
test: $(INSTALLED)
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
