# The tasks of this project; `make` without a target lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

VENV := .venv
READY := $(VENV)/.ready
CHECKOV := $(VENV)/checkov
GALAXY := $(VENV)/galaxy
# Each is written from the .in of its name. The first four keep to the ones before, and the fifth has all their packages.
REQUIREMENTS := requirements.txt app/requirements.txt images/devices/requirements.txt images/door/requirements.txt requirements-dev.txt requirements-checkov.txt requirements-galaxy.txt
LAB_DIR := $(or $(HOMESERVER_LAB_DIR),/var/lib/homeserver-lab)
# Two processes, because tests mostly wait. Tests in a file share the programs that they start.
UNIT := -m 'not machine and not scenario' -n 2 --dist loadfile --durations=15

# Ansible refuses to run in a locale that is not UTF-8.
export LC_ALL := C.UTF-8
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Exactly what is listed: pip's own resolver would refuse a list as soon as a package with extras has a newer release.
INSTALL := install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement

# Only reinstalled when a requirement changes. A fresh Debian has neither venv nor git.
$(READY): requirements-dev.txt
	@python3 -c 'import ensurepip' && command -v git >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv git; }
	python3 -m venv $(VENV)
	pip $(INSTALL) requirements-dev.txt
	@touch $@

# These ask for other versions of what the rest needs, so they are apart.
$(CHECKOV)/.ready: requirements-checkov.txt | $(READY)
	python3 -m venv $(CHECKOV)
	$(CHECKOV)/bin/pip $(INSTALL) $<
	@touch $@

# ansible-test makes environments of its own from the wheels.
$(GALAXY)/.ready: requirements-galaxy.txt | $(READY)
	python3 -m venv $(GALAXY)
	$(GALAXY)/bin/pip $(subst install,download,$(INSTALL)) $< --dest $(GALAXY)/wheels
	$(GALAXY)/bin/pip $(INSTALL) $< --no-index --find-links $(GALAXY)/wheels
	@touch $@

.PHONY: setup
setup: $(READY) inventory/home ## Install Ansible and all tools into .venv, copy the example inventory once

.PHONY: requirements
requirements: ## Write the requirements*.txt, with checksums, from the requirements*.in
	for file in $(REQUIREMENTS); do \
	  uv pip compile --quiet --universal --python-version=3.11 --generate-hashes \
	    --output-file=$$file $${file%.txt}.in || exit; \
	done

# Belongs to the owner, who alone may read it, and is never overwritten. Its history is a repository of its own.
inventory/home:
	rm -rf $@.new
	umask 077 && cp -R inventory/example $@.new && cd $@.new && git init --quiet --initial-branch=main && git add . \
	  && git -c user.name=homeserver -c user.email=homeserver@localhost commit --quiet --message="Begin"
	mv $@.new $@

.PHONY: lab lab-status lab-down
lab: $(READY) ## Run a home server on this machine: build, install, print the URLs
	python -m lab up
	ansible-playbook -i $(LAB_DIR)/home/inventory site.yml
	python -m lab status

lab-status: $(READY) ## Print the lab's machines and services as JSON
	python -m lab --json status

lab-down: $(READY) ## Remove the lab's home server completely
	python -m lab down

.PHONY: test lint unit fast-test lab-test molecule lane
test: $(READY) ## Run everything that CI runs for each change, with one lane in turn: make test LANE=power, make test ALL=1
	python -m tests.ci

lint: $(READY) $(CHECKOV)/.ready $(GALAXY)/.ready ## Check style, types and Ansible's rules
	ruff check
	ruff format --check
	mypy .
	cd app && MYPYPATH=src mypy --config-file ../pyproject.toml .
	yamllint --strict .
	ansible-lint --offline
	shellcheck $$(git grep -lE '^#!.*[/ ](ba)?sh\b' -- ':!*.py')
	hadolint app/Dockerfile images/*/Dockerfile
	pymarkdown scan $$(git ls-files '*.md' ':!.github')
	python -m tools.checkov $(CHECKOV)/bin/checkov
	python -m tools.galaxy $(GALAXY)

unit: app-test fast-test ## Run the tests that need no machine

fast-test: $(READY) ## Run the same, without the app's tests
	pytest $(UNIT)

lab-test: $(READY) ## Run the lab's tests that create machines (as root)
	pytest -m machine

SCENARIO_TESTS := pytest -s --durations=0 -m scenario

molecule: $(READY) ## Run the scenarios of all roles on one lab machine (as root)
	$(SCENARIO_TESTS) tests/scenarios/test_house.py $(ARGS)

lane: $(READY) ## Run one lane, a story that takes minutes (as root): make lane LANE=power
	@test -n "$(LANE)" || { echo "LANE is empty -> make lane LANE=power; tests/lanes.py has them all" >&2; exit 2; }
	$(SCENARIO_TESTS) tests/scenarios/test_lanes.py::test_$(subst -,_,$(LANE))

.PHONY: chaos
chaos: $(READY) ## Let faults happen to new homes in the lab, and write what each costs to docs/benchmark.md (as root)
	HOMESERVER_BENCHMARK_PAGE=docs/benchmark.md $(SCENARIO_TESTS) tests/scenarios/test_lanes.py -k faults

.PHONY: test-upgrade
test-upgrade: $(READY) ## Upgrade homes in the lab from the Kubernetes before, and write what it costs to docs/benchmark.md (as root)
	HOMESERVER_BENCHMARK_PAGE=docs/benchmark.md $(SCENARIO_TESTS) tests/scenarios/test_lanes.py -k upgrade

.PHONY: mutants
mutants: $(READY) ## Make realistic mistakes one at a time, name those that no fast test catches, as in: make mutants ARGS='--area rules'
	python -m tools.mutants $(ARGS)

.PHONY: app-dev app-test app-prod load
app-dev: $(READY) ## Run the app on http://127.0.0.1:5000, reloaded at every change
	flask --app app/src/homeserver_app run --debug

app-test: $(READY) ## Run the app's tests, with coverage
	cd app && pytest --cov

app-prod: $(READY) ## Run the app like the home server does, under gunicorn
	cd app && PYTHONPATH=src gunicorn

load: $(READY) ## Run a load test of the app: make load URL=https://hello.home.arpa ARGS='--ca FILE'
	cd app && python -m loadtest $(URL) $(ARGS)

.PHONY: docs dashboards pictures bench
dashboards: $(READY) ## Write the dashboards of Grafana and Kibana from tools/dashboards/
	python -m tools.dashboards.grafana
	python -m tools.dashboards.kibana

docs: $(READY) ## Write docs/reference.md, docs/catalogue.md, the roles' README.md and the filters' documentation
	python -m tools.reference
	python -m tools.catalogue
	python -m tools.filters

pictures: $(READY) ## Write docs/pictures/ from a running home, as in: make pictures ARGS='-i inventory/home'
	python -m tools.pictures $(ARGS)

bench: $(READY) ## Measure speed and memory on new machines, write docs/benchmark.md (as root), as in: make bench ARGS='--only home --times 3'
	python -m bench $(ARGS)
