# Every target is one line of what it does; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
# Container images often set it; compiling the AWS SDK anew costs each Python process 3 s.
unexport PYTHONDONTWRITEBYTECODE

APP ?= app
ENGINE ?= auto
JSON ?=
UP_ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## the locked Python environment
	@scripts/setup

setup-lab:
	@scripts/setup lab

up: setup-lab ## the whole stack on this machine; APP=<dir>: another Express app; ENGINE=pulumi|mocks
	@./expressway lab up --app $(APP) --engine $(ENGINE) $(UP_ARGS)

down: setup ## take the lab down and leave nothing but the cache
	@./expressway lab down

status: setup ## the machines of the lab
	@./expressway lab status

pulumi: setup ## a Pulumi CLI for this project: the one on PATH, or the pinned release
	@$(PY) -m lab.engine

build: setup ## the app's artifact and its Node runtime, for `pulumi up`
	@./expressway build

check: setup ## lint, types, formats, shell; no machine is booted
	@scripts/check

unit: setup ## unit tests
	@$(PY) -m pytest tests/unit -q -n auto --dist worksteal

test: setup-lab check ## every check, on a fresh machine (root for the lab's part)
	@scripts/test

test-engine: setup-lab ## the tests that need a Pulumi CLI, by themselves
	@$(PY) -m pytest tests/engine -q -n auto --dist loadfile
	@$(PY) -m pytest tests/lab -q -m engine

golden-state: setup-lab ## the state that this release leaves, for the next ones to be tested on
	@$(PY) -m tests.engine.golden_state

bench: setup-lab ## what each thing on a request's way costs: docs/benchmarks.md, and JSON=<file>; ONLY=<part>
	@scripts/setup bench
	@$(PY) -m lab.bench --json $(or $(JSON),bench.json) $(if $(ONLY),--only $(ONLY))

bench-up: setup-lab ## how fast and how big: a table, and JSON=<file>
	@$(PY) -m lab.bench.up --json $(or $(JSON),bench-up.json)

bench-rotation: setup-lab ## what requests see of a secret that changes, on the lab that is up; JSON=<file>, WHAT=database|cache|own
	@$(PY) -m lab.bench.rotation --json $(or $(JSON),bench-rotation.json) --what $(or $(WHAT),database)

prove: setup-lab ## what clients see while the stack is lived with: docs/proof.md, and JSON=<file>; ONLY=<scenario>, with PAGE=1 its row there anew; SECONDS=<n> SEED=<n> of faults
	@$(PY) -m lab.prove --json $(or $(JSON),proof.json) $(if $(ONLY),--only $(ONLY)) $(if $(PAGE),--page) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

prove-bottlenecks: setup-lab ## whether load names what limits a stack: docs/bottlenecks.md, and JSON=<file>; ONLY=<plant>, with PAGE=1 its row there anew
	@$(PY) -m lab.bottlenecks --json $(or $(JSON),bottlenecks.json) $(if $(ONLY),--only $(ONLY)) $(if $(PAGE),--page)

bench-reconciler: setup-lab ## the reconciler before 1,000 machines: CPU, calls of the API; JSON=<file>
	@$(PY) -m lab.bench.reconciler --json $(or $(JSON),bench-reconciler.json)

bench-balancer: setup-lab ## Nginx's CPU per request, the balancer's against least_conn's: a table, and JSON=<file>
	@scripts/setup bench
	@$(PY) -m lab.bench.balancer --json $(or $(JSON),bench-balancer.json)

bench-metrics: setup-lab ## what it costs an app server to measure itself: CPU, memory; JSON=<file>
	@$(PY) -m lab.bench.metrics --json $(or $(JSON),bench-metrics.json)

bench-profile: setup-lab ## what a profile costs the worker that it is taken of; JSON=<file>
	@PYTHONPATH=.:user_data/common/files:user_data/app/files $(PY) -m lab.bench.profile --json $(or $(JSON),bench-profile.json)

bench-capacity: setup-lab ## is the capacity of 1, 2 and 3 app servers as predicted: docs/capacity.md, and JSON=<file>
	@$(PY) -m lab.bench.capacity --json $(or $(JSON),bench-capacity.json)

bench-data: setup-lab ## what a database answers with replicas and shards: docs/database.md, and JSON=<file>
	@scripts/setup bench
	@$(PY) -m lab.bench.data --json $(or $(JSON),bench-data.json)

docs: setup ## write docs/reference anew
	@$(PY) scripts/reference.py

bench-engine: setup-lab ## how fast the Pulumi engine is on the lab's API: a table, and JSON=<file>
	@$(PY) -m lab.bench.engine --json $(or $(JSON),bench-engine.json)

golden: setup ## write the golden files anew; read the diff before committing
	@UPDATE_GOLDEN=1 $(PY) -m pytest tests/unit -q

LOCK = .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
  --no-emit-find-links --python-version 3.11 pyproject.toml

lock: setup ## renew the locks from pyproject.toml: all that a clone needs, and what the plugin alone needs
	@$(LOCK) --extra cli --group lab --group dev -o requirements.txt
	@$(LOCK) --constraints requirements.txt -o components/requirements.txt

.PHONY: help setup setup-lab up down status pulumi build check unit test test-engine golden-state bench bench-up bench-engine bench-reconciler bench-rotation bench-balancer bench-metrics bench-profile bench-capacity bench-data prove prove-bottlenecks docs golden lock
