# The law: every target works on a machine that has only Python >= 3.11, git and make.
# `make demo` shows it, `make test` proves it; both install what they need into the checkout.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
SOURCES := libs services cli tests
# Test processes beside each other; a file stays in one of them, with the servers it shares.
JOBS ?= 2
# Gates that share nothing run beside each other, all of them (-k) so that one run tells everything;
# their output stays in one piece where make can (-O).
PARALLEL := $(MAKE) --no-print-directory -k -j2 $(if $(filter output-sync,$(.FEATURES)),-O)

.PHONY: help setup demo dev test check format reference lint formatting types imports drift pytest coverage bench

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install everything that is needed to work on AgentFlow
	@scripts/bootstrap dev

demo: ## Start the embedded stack, run the main job on real input, stop
	@scripts/bootstrap run
	@$(BIN)/agentflow demo

dev: ## Start the embedded stack and keep it running (Ctrl-C stops it)
	@scripts/bootstrap run
	@$(BIN)/agentflow dev

test: setup ## All gates, then all tests with coverage
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory coverage

check: setup ## All gates, no tests
	@$(PARALLEL) lint formatting types imports drift

lint:
	@$(BIN)/ruff check .

formatting:
	@$(BIN)/ruff format --check .

types:
	@$(BIN)/mypy $(SOURCES)

imports:
	@$(BIN)/lint-imports --no-logo

drift:
	@$(BIN)/python -m agentflow.cli.reference --check

format: setup ## Format the code and apply safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

reference: setup ## Write docs/reference from the code
	@$(BIN)/python -m agentflow.cli.reference

pytest: setup ## All tests, no coverage; ARGS="-k name" to choose
	@$(BIN)/python -m pytest $(ARGS)

# The gates per room speak only when they fail, so that pytest's summary is the last line.
coverage:
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report= $(ARGS)
	@scripts/coverage-gates

bench: ## Measure throughput and latency of the split stack on this machine
	@scripts/bootstrap bench
	@$(BIN)/python -m benchmarks $(ARGS)
