# Everything a person or CI does here. Needs make, Python 3.11-3.13 and a package registry; nothing else.
#
#   make run                 the whole journey on this machine, then serve until Ctrl-C
#   make run ONCE=1          the same, ending with the summary and its exit status
#   make test | check        the tests | format, lint, types and the tests
#   make faults              in full what the tests sample: deaths, refusals, zombies, stops at every call
#   make package             the artifact for AWS, in dist/ (ARCH=arm64 for Graviton)
#
# CONVERSATIONS=50000 sizes the sample source, PORT=8500 moves the API; all other ports are chosen free. SEED=7 repeats
# what tests drew by chance; each run says its own.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PY := .venv/bin/python
STAMP := .venv/.installed

# All tests in two processes, which share them as tests/conftest.py says; some, in one.
PYTEST := -m pytest $(if $(TESTS),$(TESTS),-n 2)

CONVERSATIONS ?= 2000
ARCH ?= x86_64
export CONVERSATIONS SEED ONCE PORT STATE

# No byte code of links in .wharf/build, no surprises from the caller's shell.
unexport PYTHONPATH PYTHONHOME

.PHONY: help venv run test faults check format package bench clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(STAMP) ## the environment, from pinned packages

$(STAMP): requirements-dev.txt pyproject.toml
	@if ! $(PY) -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	  for name in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	    if $$name -c 'import ctypes, ensurepip, ssl, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	    then found=$$name; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "Wharf needs Python 3.11, 3.12 or 3.13 with its venv module; none of python3.13, python3.12, python3.11, python3 is." >&2; \
	    echo "Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Creating .venv with $$($$found --version)"; \
	  rm -rf .venv && $$found -m venv .venv || exit 1; \
	fi
	@echo "Installing the pinned packages"
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## import a FreeScout database through the deployed stack, then serve until Ctrl-C
	@exec $(PY) -m infra.local.run

test: $(STAMP) ## all tests
	@exec $(PY) $(PYTEST)

faults: $(STAMP) ## the loops that the tests sample, in full
	@exec $(PY) -m pytest -m exhaustive $(TESTS)

check: $(STAMP) ## format, lint, types, tests
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@exec $(PY) $(PYTEST)

format: $(STAMP) ## let ruff put the code in shape
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

package: $(STAMP) ## the zip and the template for AWS, in dist/
	@exec $(PY) -m infra.package --architecture $(ARCH)

bench: $(STAMP) ## the benchmarks, one line of JSON each
	@exec $(PY) -m benchmarks

clean: ## remove the local cloud's state and all caches; .venv stays
	@if [ -x $(PY) ] && [ -d .wharf ]; then $(PY) -m infra.local.clean .wharf; else rm -rf .wharf; fi
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
