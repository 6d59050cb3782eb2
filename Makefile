# Every job of this project by its name; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

VENV := .venv
READY := $(VENV)/.ready
REQUIREMENTS := requirements.txt requirements-dev.txt app/requirements.txt
LAB_DIR := $(or $(HOMESERVER_LAB_DIR),/var/lib/homeserver-lab)
# Two at once, for half of the time one waits; the tests of a file share what they start.
UNIT := -m 'not machine and not scenario' -n 2 --dist loadfile

# Ansible refuses to run in a locale that is not UTF-8.
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Installed anew only when a requirement changes. A fresh Debian has neither venv nor git.
$(READY): $(REQUIREMENTS)
	@python3 -c 'import ensurepip' && command -v git >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv git; }
	python3 -m venv $(VENV)
	pip install --quiet --disable-pip-version-check $(REQUIREMENTS:%=-r %)
	@touch $@

.PHONY: setup
setup: $(READY) ## Install Ansible and everything else that is needed here into .venv

.PHONY: lab lab-status lab-down
lab: $(READY) ## A running home server on this machine: build, install, print the URLs
	python -m lab up
	ansible-playbook -i $(LAB_DIR)/home/inventory site.yml
	python -m lab status

lab-status: $(READY) ## What runs in the lab, and where, as JSON
	python -m lab --json status

lab-down: $(READY) ## Remove the lab's home server without a trace
	python -m lab down

.PHONY: test lint unit lab-test molecule
test: lint app-test ## Everything CI runs: lint, then every test, the quick ones first
	python -m lab build
	pytest $(UNIT)
	pytest -m 'machine or scenario'

lint: $(READY) ## Style, types and the rules of Ansible
	ruff check
	ruff format --check
	mypy .
	cd app && MYPYPATH=src mypy --config-file ../pyproject.toml .
	yamllint --strict .
	ansible-lint --offline
	shellcheck $$(git grep -lE '^#!.*[/ ](ba)?sh\b' -- ':!*.py')
	hadolint app/Dockerfile automation/Dockerfile logstore/Dockerfile

unit: app-test ## The tests that need no machine
	pytest $(UNIT)

lab-test: $(READY) ## The tests of the lab that create machines (as root)
	pytest -m machine

molecule: $(READY) ## The scenarios: every role on a machine of the lab (as root)
	pytest -m scenario

.PHONY: app-dev app-test app-prod load
app-dev: $(READY) ## The app on http://127.0.0.1:5000, anew at every change
	flask --app app/src/homeserver_app run --debug

app-test: $(READY) ## The app's tests, with their coverage
	cd app && pytest --cov

app-prod: $(READY) ## The app as the home server runs it, under gunicorn
	cd app && PYTHONPATH=src gunicorn

load: $(READY) ## A load test of the app, as in: make load URL=https://hello.home.arpa ARGS='--ca FILE'
	cd app && python -m loadtest $(URL) $(ARGS)

.PHONY: docs dashboards bench
dashboards: $(READY) ## Write Grafana's and Kibana's dashboards anew from the packages of these names
	python -m dashboards
	python -m kibana

docs: $(READY) ## Write docs/reference.md anew from the roles' argument specs
	python tools/reference.py

bench: $(READY) ## Measure speed and memory on a new machine, write docs/benchmark.md (as root)
	python -m bench
