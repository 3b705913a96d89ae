# One command does one thing, with all of its set-up. `make` alone lists them.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-long dates check format docs lock bench clean

BIN := .venv/bin
# Test files that run at the same time. Most of them wait for processes rather than for the processor.
JOBS ?= 2

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: ## see Steward work, with sample data, in a browser (ONCE=1: run through once and end)
	@scripts/setup.sh demo
	@$(BIN)/steward demo $(if $(ONCE),--once)

test: ## every test, with real servers (about a quarter of an hour; JOBS=1 runs one file at a time)
	@scripts/setup.sh test
	@$(BIN)/pytest -m "not long" -n $(JOBS) --dist loadfile $(ARGS)

test-long: ## hundreds of kills, and soaks
	@scripts/setup.sh test
	@$(BIN)/pytest -m long $(ARGS)

dates: ## the tests that know of days, on three hard dates and in three zones (a few minutes)
	@scripts/setup.sh test
	@JOBS=$(JOBS) scripts/dates.sh

check: ## format, lint, types, floors, and the quick tests (under a minute)
	@scripts/setup.sh test
	@JOBS=$(JOBS) scripts/check.sh

format: ## put the code into its one form
	@scripts/setup.sh demo
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

docs: ## write the pages that are made from the code
	@scripts/setup.sh demo
	@$(BIN)/python scripts/document_settings.py
	@$(BIN)/python scripts/document_commands.py
	@$(BIN)/python scripts/document_house.py

lock: ## choose and pin every package anew
	@scripts/setup.sh demo
	@scripts/lock.sh $(BIN)/python

bench: ## every benchmark, quickly
	@scripts/setup.sh test
	@status=0; for each in mail engines accept idle neighbours reports; do \
		echo "$$each"; $(BIN)/python -m benchmarks.$$each --quick || status=1; done; exit $$status

clean: ## remove what the other commands made
	@rm -rf .venv steward-demo .bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
