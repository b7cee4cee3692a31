# `make` alone lists the targets. Everything runs from .venv, which `make setup` creates.

RECIPE ?= debian-13
PYTEST_ARGS ?=

# `-m`, because a tool that the distribution packages has no script in .venv/bin.
python := .venv/bin/python

# Each of the many processes of the tests would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup image test test-unit test-all lint check docs bench lock vulnerabilities structure clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: system packages and .venv (never asks, may be repeated)
	@scripts/setup.sh

# The programs that tests compare with, and the servers that they publish to.
.PHONY: setup-tests
setup-tests:
	@scripts/setup.sh --tests

image: setup ## build a recipe into artifacts/ (RECIPE=debian-13)
	@.venv/bin/imagebuild build $(RECIPE)

# First the quick tests on all processors, then those that boot something, in two processes. Both run, whatever fails.
test: setup-tests ## all tests except the slow ones; boots virtual machines (PYTEST_ARGS=…)
	@status=0; \
	$(python) -m pytest -n logical -m 'not guestfs and not vm and not index and not slow' --none-will-do $(PYTEST_ARGS) || status=1; \
	$(python) -m pytest -n logical --maxprocesses 2 --dist loadfile --no-loadscope-reorder -m '(guestfs or vm or index) and not slow' --none-will-do $(PYTEST_ARGS) || status=1; \
	exit $$status

test-unit: setup ## tests that start neither libguestfs nor a virtual machine: takes seconds
	@$(python) -m pytest -n logical -m 'not guestfs and not vm and not index and not seconds and not slow' $(PYTEST_ARGS)

test-all: setup-tests ## all tests, including the slow ones
	@$(python) -m pytest $(PYTEST_ARGS)

lint: ## ruff, its formatter, mypy and shellcheck
	@scripts/setup.sh --lint
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	shellcheck scripts/setup.sh scripts/lock.sh scripts/docs.sh scripts/release.sh .ci/run

check: lint test ## what CI runs

docs: ## build the documentation's site in build/site; a broken link is an error
	@scripts/docs.sh

lock: ## update requirements.lock to the newest versions that pyproject.toml allows
	@scripts/lock.sh

vulnerabilities: ## check the locked versions for known vulnerabilities (needs the network)
	@scripts/lock.sh --vulnerabilities

structure: ## print the package's structure: rooms, floors, and folders that import each other
	@$(python) scripts/structure.py

bench: setup ## measure build times on this machine, compared with the usual tools
	@$(python) -m bench

clean: ## remove .venv and everything that tools created; keeps artifacts/ and the store
	rm -rf .venv build dist imagebuild.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
