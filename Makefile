# Everything starts here; `make run` is all a new user needs.
SHELL := /bin/sh
VENV := .venv
PYTHON_BIN := $(VENV)/bin/python
MANAGE := $(PYTHON_BIN) manage.py
.DEFAULT_GOAL := help

.PHONY: help run test coverage prove bench lint lint-scripts fmt fmt-scripts messages lock clean
# What is made here may not be half made.
.DELETE_ON_ERROR:

help: ## What there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

$(VENV)/runtime: requirements.txt requirements.lock deploy/venv
	@deploy/venv runtime

$(VENV)/dev: requirements.txt requirements-dev.txt requirements.lock deploy/venv
	@deploy/venv dev

node_modules/.package-lock.json: package.json package-lock.json
	@npm ci --silent

# Only the checks of the floor board's scripts and styles need Node.js, so they are left out where it is missing.
define with_npm
if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(1); \
	else echo "$(1): skipped Biome and tsc, as npm is missing; it comes with Node.js 20 or newer" >&2; fi
endef

# exec: what make waits for is the supervisor itself, so that signals reach it and its exit code is make's.
run: $(VENV)/runtime ## Start everything and print where it is; Ctrl-C stops it
	@exec $(MANAGE) run

test: $(VENV)/dev ## The tests, on Postgres and Redis of their own, in parallel; ARGS="-n 0": in one process
	@$(PYTHON_BIN) -m pytest -n auto -m "not slow" $(ARGS)

coverage: $(VENV)/dev ## The tests, and which lines they miss
	@$(PYTHON_BIN) -m pytest -n auto --cov --cov-report=term -m "not slow" $(ARGS)

prove: $(VENV)/dev ## The long forms of the proofs
	@$(PYTHON_BIN) -m pytest -m "slow or fault" $(ARGS)

bench: $(VENV)/dev ## Measure, print a table and write docs/benchmarks.md
	@$(PYTHON_BIN) -m tests.benchmarks $(ARGS)

lint: $(VENV)/dev ## Style, types, layering, migrations
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(MANAGE) makemigrations --check --dry-run
	@$(call with_npm,lint-scripts)

lint-scripts: node_modules/.package-lock.json
	@npm run --silent lint

fmt: $(VENV)/dev ## Put the code into shape
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .
	@$(call with_npm,fmt-scripts)

fmt-scripts: node_modules/.package-lock.json
	@npm run --silent fmt

messages: $(VENV)/dev ## Collect and compile what is to be translated (needs GNU gettext)
	@for domain in django djangojs; do \
		$(MANAGE) makemessages -d $$domain -l es -l en --no-location --no-obsolete \
			-i tests -i .venv -i .data -i node_modules || exit 1; done
	@$(MANAGE) compilemessages -i .venv -v 0

lock: ## Resolve requirements*.txt into requirements.lock
	@test -x $(PYTHON_BIN) || deploy/venv runtime
	@$(PYTHON_BIN) -m pip install -q --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-dev.txt)"
	@$(PYTHON_BIN) -m uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links requirements-dev.txt -o requirements.lock

clean: ## Remove what the tools leave; data and .venv stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -not -path './.venv/*' -exec rm -rf {} +
