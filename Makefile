# `make` alone lists what there is. Everything runs from .venv, which `make setup` makes.

RECIPE ?= debian-13
PYTEST_ARGS ?=

# `-m`, because a tool that the distribution brings has no script in .venv/bin.
python := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup image test test-unit test-all lint check bench lock vulnerabilities structure clean

help: ## list what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: system packages and .venv (never asks, repeatable)
	@scripts/setup.sh

image: setup ## build a recipe into artifacts/ (RECIPE=debian-13)
	@.venv/bin/imagebuild build $(RECIPE)

# The quick ones on all processors first; then those that boot something, one by one. Both are run, whatever fails.
test: setup ## all tests but the slow ones; boots virtual machines (PYTEST_ARGS=…)
	@status=0; \
	$(python) -m pytest -n logical -m 'not guestfs and not vm and not index and not slow' --none-will-do $(PYTEST_ARGS) || status=1; \
	$(python) -m pytest -n logical --maxprocesses 2 --dist loadfile -m '(guestfs or vm or index) and not slow' --none-will-do $(PYTEST_ARGS) || status=1; \
	exit $$status

test-unit: setup ## the tests that start neither libguestfs nor a virtual machine: seconds
	@$(python) -m pytest -n logical -m 'not guestfs and not vm and not index and not slow' $(PYTEST_ARGS)

test-all: setup ## every test, the slow ones too
	@$(python) -m pytest $(PYTEST_ARGS)

lint: ## ruff, its formatter, mypy and shellcheck
	@scripts/setup.sh --lint
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	shellcheck scripts/setup.sh scripts/lock.sh .ci/run

check: lint test ## what CI runs

lock: ## raise the versions in requirements.lock to the newest that pyproject.toml allows
	@scripts/lock.sh

vulnerabilities: ## look the locked versions up among known vulnerabilities (needs the network)
	@scripts/lock.sh --vulnerabilities

structure: ## print how the package is put together: rooms, floors, and folders that import each other
	@$(python) scripts/structure.py

bench: setup ## measure this machine: build times, beside the usual chain of tools
	@$(python) -m bench

clean: ## remove .venv and everything made by tools; artifacts/ and the store stay
	rm -rf .venv build dist imagebuild.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
