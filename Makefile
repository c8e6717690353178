# A newcomer needs `make run` and `make test`. Every target works from a bare machine with
# Python 3.11, 3.12 or 3.13: the first one creates .venv and installs the pinned packages.
#
#   make run [HOST=0.0.0.0] [PORT=9000]   serve the shipped models
#   make test [ARGS="-k decode"]          run the tests
#   make fuzz-api [EXAMPLES=1000]         send every route what it describes, and what it does not
#   make lint                             ruff and mypy
#   make bench [SHORT=1]                  print the benchmarks
#   make kill-test [ARGS="--rounds 2"]    kill the DICOM node while films arrive; needs Orthanc
#   make round-trip [ARGS="--films 30"]   real films through the node into Orthanc and back
#   make compose-test [ARGS="--engine lean"]   bring compose.yaml up and check it; needs Docker
#   make fuzz [RUNS=100000]               mutate files and requests
#   make train [DATA=folder]              train both shipped models again from the Kaggle zips
#   make audit [DATA=folder]              audit both shipped models and write their cards anew
#   make gate [DATA=folder]               train the gate again; docs/gate.md names the zips
#   make advisories                       look the pinned packages up for known flaws
#   make licences                         list the licences of what serving installs
#   make results [DATA=folder]            run every known system, write docs/results.md (hours)
#   make requirements                     compile requirements*.txt from requirements*.in
#   make image [IMAGE=name:tag] [TARGET=lean]   build the container image with Docker

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

HOST ?= 127.0.0.1
PORT ?= 8000
DATA ?= $(or $(XRAY_DATA),../shared/data)
IMAGE ?= xray-result-interpreter:latest
VENV ?= .venv
ARGS ?=

# The first interpreter that TensorFlow has a wheel for; `make PYTHON=...` overrides.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	if $$candidate -c "$(SUPPORTED)" 2>/dev/null; then echo $$candidate; break; fi; done)

# Bytecode is compiled when a module is first imported, not for the thousands that never are.
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	--no-compile --require-hashes

.PHONY: help run test fuzz-api lint bench kill-test round-trip compose-test train audit gate results requirements image clean fuzz advisories licences

help:
	@sed -n '4,20s/^#   //p' Makefile

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c "$(SUPPORTED)"; then \
		echo "Python 3.11, 3.12 or 3.13 is needed;" \
			"$(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1 || true)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null || { \
		echo "$(PYTHON) cannot create virtual environments;" \
			"on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

# One marker for each set of packages. The sets nest and share their pins, so a larger
# one marks the smaller ones as installed too.
$(VENV)/.serving: requirements.txt | $(VENV)/bin/python
	@echo "Installing what serving needs: about 0.5 GB to download, TensorFlow most of it"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.training: requirements.txt requirements-training.txt | $(VENV)/bin/python
	@echo "Installing what training needs: about 0.5 GB to download, TensorFlow most of it"
	@$(INSTALL) -r requirements-training.txt
	@touch $@ $(VENV)/.serving

$(VENV)/.development: requirements.txt requirements-training.txt requirements-dev.txt \
		| $(VENV)/bin/python
	@echo "Installing what tests need: about 0.6 GB to download, TensorFlow most of it"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.training $(VENV)/.serving

run: $(VENV)/.serving
	@echo "Serving on http://$(HOST):$(PORT) (Ctrl-C stops); ready when /readyz says so"
	@HOST=$(HOST) PORT=$(PORT) exec $(VENV)/bin/gunicorn "app:create_app()"

test: $(VENV)/.development
	@$(VENV)/bin/python -m pytest $(ARGS)

EXAMPLES ?= 1000
fuzz-api: $(VENV)/.development
	@XRAY_FUZZ_EXAMPLES=$(EXAMPLES) $(VENV)/bin/python -m pytest -q tests/app/test_schemathesis.py

lint: $(VENV)/.development
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# SHORT=1 only shows that every program works: its figures mean little.
bench: $(VENV)/.development
	@for program in benchmarks/*.py; do \
		case "$$program" in */_*) continue;; esac; \
		short=; $(if $(SHORT),case "$$program" in \
			*/service.py) short="--seconds 1 --rounds 2";; \
			*/overload.py) short="--seconds 2";; \
			*/endurance.py) short="--readings 300 --step 1";; \
			*/reading.py) short="--rounds 10";; \
			*/sizing.py) short=2;; \
			*/page.py | */pacs_node.py | */reduced_decode.py) short="--films 4";; \
			esac; export ROUNDS=10 BATCHES=2;) \
		echo "== $$program $$short"; $(VENV)/bin/python "$$program" $$short; done

# Two fuzzers, RUNS inputs each, led by the code that they reach. A finding is a file crash-…
RUNS ?= 100000
fuzz: $(VENV)/.development
	$(VENV)/bin/python -m fuzz.seeds runs/fuzz
	$(VENV)/bin/python -m fuzz.decode runs/fuzz/decode -runs=$(RUNS) -artifact_prefix=runs/fuzz/
	$(VENV)/bin/python -m fuzz.http runs/fuzz/http -runs=$(RUNS) -artifact_prefix=runs/fuzz/

# What is known against the pinned packages, and under which licences serving installs them.
advisories: $(VENV)/.development
	$(VENV)/bin/pip-audit --disable-pip --require-hashes --requirement requirements.txt

licences: $(VENV)/.development
	@$(VENV)/bin/python -m piplicenses --order=license --format=markdown \
		--packages $$(sed -nE 's/^([a-z0-9._-]+)==.*/\1/p' requirements.txt)

kill-test: $(VENV)/.development
	@$(VENV)/bin/python -m tests.pacs.kills $(ARGS)

round-trip: $(VENV)/.development
	@$(VENV)/bin/python -m tests.pacs.journey $(ARGS)

compose-test: $(VENV)/.development
	@$(VENV)/bin/python -m tests.deploy.compose $(ARGS)

train: $(VENV)/.training
	$(VENV)/bin/python -m training fit adult --version 1.7.1 \
		--companion $(DATA)/chest-xray-pneumonia.zip \
		$(if $(wildcard $(DATA)/lung-masks.zip),--normals $(DATA)/lung-masks.zip) \
		--data $(DATA)/covid19-radiography-database.zip --out models/covid19-radiography
	$(VENV)/bin/python -m training fit residual --version 1.6.1 \
		--data $(DATA)/chest-xray-pneumonia.zip --out models/pediatric-pneumonia

# The other two zips are optional: what is not there is not measured, and the card says less.
AUDIT := $(VENV)/bin/python -m training audit \
	$(if $(wildcard $(DATA)/nih-adult-external.zip),--external $(DATA)/nih-adult-external.zip) \
	$(if $(wildcard $(DATA)/lung-masks.zip),--lung-masks $(DATA)/lung-masks.zip) \
	$(if $(wildcard $(DATA)/lung-masks.zip),--normals $(DATA)/lung-masks.zip)

audit: $(VENV)/.training
	$(AUDIT) models/pediatric-pneumonia --data $(DATA)/chest-xray-pneumonia.zip
	$(AUDIT) models/covid19-radiography --data $(DATA)/covid19-radiography-database.zip

gate: $(VENV)/.training
	$(VENV)/bin/python -m training gate --data $(DATA) --out models/gate

# Goes on where it was cut off; ONLY="rgb156 hog_cnn" runs some of them.
results: $(VENV)/.training
	$(VENV)/bin/python -m training results --data $(DATA) $(if $(ONLY),--only $(ONLY))

# `uv pip compile` writes one file for every system and Python version; pip installs it.
COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

requirements:
	@command -v uv >/dev/null || { echo "uv is needed to compile: pip install uv" >&2; exit 1; }
	$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-lean.in --excludes requirements-lean-excludes.in \
		--output-file requirements-lean.txt
	$(COMPILE) requirements-training.in --output-file requirements-training.txt
	$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

image:
	docker build $(if $(TARGET),--target $(TARGET)) --tag $(IMAGE) .

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
