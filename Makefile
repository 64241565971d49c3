# `make` lists the targets. Everything runs out of .venv (made by `make setup`) and .cdp (servers, data, logs).
SHELL := /bin/bash
PY := .venv/bin/python
CDP := .venv/bin/cdp
# Test processes side by side; each has servers of its own (2 GB).
WORKERS ?= 2
ROOMS := api bench cli config definitions demo importers jobs operations pipelines profile_store schemas sinks stack tests

.DEFAULT_GOAL := help
.PHONY: help setup check lock demo up down status test test-unit test-component test-system lint bench soak bench-large bench-pair bench-core-pair clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: .venv/.installed ## install everything into .venv (needs Python 3.11, Java 17, Maven and Node; says what is missing)

.venv/.installed: requirements.lock pyproject.toml
	@$(MAKE) --no-print-directory check
	@set -e; \
	if command -v uv >/dev/null; then uv=uv; else \
	  [ -x .tools/uv/bin/uv ] || { python3.11 -m venv .tools/uv && .tools/uv/bin/pip install --quiet --disable-pip-version-check uv; }; \
	  uv=.tools/uv/bin/uv; fi; \
	[ -x $(PY) ] || $$uv venv --quiet --python 3.11 .venv; \
	export VIRTUAL_ENV=$$PWD/.venv; \
	$$uv pip sync --quiet --require-hashes requirements.lock; \
	$$uv pip install --quiet --no-deps -e .
	@touch $@
	@echo "installed into .venv; next: make demo, or .venv/bin/cdp up"

check: ## check for what has to be there already: Python 3.11, Java 17, Maven, Node (and Chromium, for one test)
	@missing=0; \
	say() { echo "missing: $$1 -- $$2" >&2; missing=1; }; \
	command -v python3.11 >/dev/null || say "python3.11" "Debian 12: apt-get install python3.11 python3.11-venv; elsewhere: pyenv install 3.11"; \
	command -v java >/dev/null || [ -n "$$JAVA_HOME" ] || say "java 17" "Debian: apt-get install openjdk-17-jre-headless"; \
	command -v mvn >/dev/null || say "mvn" "Debian: apt-get install maven"; \
	command -v npm >/dev/null || say "npm" "Debian: apt-get install npm"; \
	[ -x /usr/lib/postgresql/15/bin/postgres ] || command -v apt-get >/dev/null || echo "not there: PostgreSQL 15 -- only the test of Debezium needs it; on Debian it unpacks the packages by itself" >&2; \
	command -v chromium >/dev/null || echo "not there: chromium -- only the browser SDK's test needs it; Debian: apt-get install chromium" >&2; \
	exit $$missing

lock: ## resolve the dependencies anew into requirements.lock (a uv.lock would name registry hosts, hence this form)
	@uv=$$(command -v uv || echo .tools/uv/bin/uv); \
	$$uv pip compile --quiet --universal --python-version 3.11 --extra local --extra dev --generate-hashes --no-header --no-emit-index-url \
	  pyproject.toml -o requirements.lock

demo: setup ## the guided tour: start the stack, replay real orders, look at live profiles
	@$(CDP) demo

up: setup ## start the stack
	@$(CDP) up

down: ## stop the stack; data stays
	@[ ! -x $(CDP) ] || $(CDP) down

status: ## show the services
	@$(CDP) status

test: test-unit test-component test-system ## all tests

test-unit: setup ## fast tests, no servers
	@$(PY) -m pytest tests/unit -q --durations=15 -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-component: setup ## tests against real servers, one part at a time
	@$(PY) -m pytest tests/component -q --durations=15 -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-system: setup ## tests of the whole stack
	@$(PY) -m pytest tests/system -q --durations=15 --tb=short

lint: setup ## ruff, mypy and the rules about who imports whom
	@.venv/bin/ruff check $(ROOMS)
	@.venv/bin/ruff format --check $(ROOMS)
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: setup ## measure throughput and latency, small
	@$(PY) -m bench

soak: setup ## attack the collector for ten minutes from a second address (SECONDS=60 for less): memory and honest requests stay within bounds
	@$(PY) -m bench.soak --seconds $(or $(SECONDS),600)

bench-large: setup ## measure throughput and latency, long enough for figures to quote
	@$(PY) -m bench --large

bench-pair: setup ## compare with another version: make bench-pair REF=<commit> [ROUNDS=3] [QUICK=1]; last line: the ratios
	@[ -n "$(REF)" ] || { echo "say which version to compare with: make bench-pair REF=<commit>" >&2; exit 2; }
	@$(PY) -m bench.pair $(REF) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick)

bench-core-pair: setup ## compare the pure core alone, in instructions, bytes and memory: make bench-core-pair REF=<commit>
	@[ -n "$(REF)" ] || { echo "say which version to compare with: make bench-core-pair REF=<commit>" >&2; exit 2; }
	@$(PY) -m bench.core_pair $(REF)

clean: down ## stop the stack and remove its data, logs and downloads; .venv stays
	@rm -rf .cdp
