# Everything a contributor runs. Each target sets up what it needs.
PYTHON ?= python3.13
STACK ?= rollcall
VENV := .venv
ROLLCALL := PYTHONPATH=cli:layers/common python -m rollcall_cli
SOURCES := layers functions cli docs/generators tests
# Stack tests each by itself, see tests/conftest.py; more at once than there are cores, for they mostly wait
SIDE_BY_SIDE := --dist loadfile
# About half of the unit tests' time, in a process of its own, as the rest is: xdist would collect all of them in each of
# its workers and send three reports of each test, which takes a fifth of the time of tests as short as these.
UNIT_EDGES := $(addprefix tests/unit/,aws cli project runtime tower)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
unexport PYTHONDONTWRITEBYTECODE # where it is set, each of the many processes compiles all that it imports

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-bake picture lab invoke check unit unit-edges unit-inner test stories test-rest test-stack beside-stack test-properties test-all contract ansible-truth bench lint format build wheel docs chef-signatures requirements doctor reconcile redrive release uninstall-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done ## the virtual environment, once

$(VENV)/.done: tests/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Rollcall needs $(PYTHON): install it, or name yours with PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) (once; about a minute, seconds with a warm package cache)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check uv==0.13.8
	@$(VENV)/bin/uv pip sync --quiet --require-hashes --python $(VENV)/bin/python tests/requirements.txt
	@touch $@

demo: setup ## Rollcall at work on an embedded cloud, in about two minutes; nothing needed but Python
	@PYTHONPATH=tests:cli:layers/common python -m lab.demo.run

demo-bake: setup ## an image baked from a playbook and rolled out under load, on an embedded cloud, in about two minutes
	@PYTHONPATH=tests:cli:layers/common python -m lab.demo.bake_run

picture: setup ## docs/images/timeline.svg and cycle.svg out of their data; FROM=build/demo: out of the last demo's
	@PYTHONPATH=docs:cli:layers/common:tests python -m generators.pictures $(if $(FROM),--from $(FROM))

lab: setup ## the embedded cloud with the stack deployed stays up, to try things on it, until Ctrl-C
	@PYTHONPATH=tests:cli:layers/common exec python -m lab.by_hand.stay

invoke: setup ## a built function on the lab, under Lambda's runtime: FUNCTION=register EVENT=events/..., CONTAINER=1 by sam
	@PYTHONPATH=tests:cli:layers/common exec python -m lab.by_hand.invoke --function '$(FUNCTION)' --event '$(EVENT)' \
		$(if $(CONTAINER),--container)

check: setup ## in seconds: format, lint, types and the unit tests of what changed; BASE=main: since it left that branch
	@python tests/changed.py $(BASE)

unit: setup ## the unit tests, in a minute; K=words: those whose names match, as pytest -k has it
	$(if $(K),pytest -m "not thorough" -k "$(K)" tests/unit,@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit-edges unit-inner)

unit-edges: setup
	@pytest -q -m "not thorough" $(UNIT_EDGES)

unit-inner: setup
	@pytest -q -m "not thorough" tests/unit $(UNIT_EDGES:%=--ignore=%)

test: setup ## the unit and contract tests, and the stories on the deployed stack: under eight minutes on two cores
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target --keep-going stories unit-edges unit-inner

# Its + is for --output-sync: what a make of its own says is not held back until it ends, and so neither is this.
stories: setup
	+pytest $(SIDE_BY_SIDE) --numprocesses 4 -m "story or not (stack or thorough)" tests/stack tests/contract

test-rest: test-stack test-properties ## what make test leaves out: test-stack and test-properties

test-stack: setup ## the tests on the deployed stack that make test leaves out
	@echo "Twelve minutes: these tests wait as Auto Scaling and Tower would"
	pytest $(SIDE_BY_SIDE) --numprocesses 9 -m "stack and not story" tests/stack

# What CI runs beside test-stack: it takes what those leave of the processor, for they have deadlines. What takes all
# cores is last: it goes on when those have ended.
beside-stack: setup ## all that CI runs beside test-stack
	@nice $(MAKE) --no-print-directory --output-sync=target lint build wheel docs ansible-truth test-properties

test-properties: setup ## properties on more examples, and what else is thorough, two minutes
	pytest --numprocesses 2 --dist loadfile --hypothesis-profile thorough -m "thorough or hypothesis" tests/unit

test-all: ## all tests: make test, and then the rest
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-rest

contract: setup ## the Tower client against the embedded Tower, or yours with TOWER_URL, TOWER_TOKEN, TOWER_ADMIN_TOKEN
	pytest tests/contract

ansible-truth: setup ## what we make of a job's events against real ansible-cores, 2.16 (needs a Python 3.12) and the newest
	@PYTHONPATH=tests python -m truth.environments
	pytest --numprocesses 2 --dist loadgroup tests/truth

bench: setup ## large scale-outs, up to 1,000 instances, a cycle and a bake in figures, in 20 minutes; PART=bakes: bakes alone; or with TOWER_URL=... TOWER_TOKEN=... on yours
	@PYTHONPATH=layers/common:tests python -m bench.bench $(PART)

lint: setup ## what a reviewer would run: format, lint, types, template
	ruff format --check $(SOURCES)
	ruff check $(SOURCES)
	mypy layers/common/rollcall cli/rollcall_cli docs/generators tests functions
	sam validate --lint --region us-east-1
	cfn-lint examples/*.yaml

format: setup ## format, and fix what ruff can fix by itself
	ruff format $(SOURCES)
	ruff check --fix $(SOURCES)

build: setup ## sam build, and the layers compiled, which shortens cold starts by a third
	sam build
	python -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/CommonLayer/python .aws-sam/build/ChefLayer/python

wheel: setup ## the command `rollcall` as its wheel installs it, with nothing but what it depends on
	uvx --quiet --refresh-package rollcall --from . rollcall --version
	@uvx --quiet --from . python -c "from rollcall_cli.main import COMMANDS, command_of; print('with', *(each for each in COMMANDS if command_of(each)))"

docs: setup ## the reference pages from the code, and the site in build/site, and the dashboard's layout in build/dashboard.html
	@PYTHONPATH=docs:layers/common:cli:tests python -m generators
	@PYTHONPATH=docs python -m generators.dashboard
	@rm -rf build/site
	zensical build --clean --strict
	@rm -rf build/site/generators

chef-signatures: ## sign the unit tests' requests anew with Chef's reference implementation (ruby-mixlib-authentication)
	cd tests/unit/chef/signatures && ruby sign.rb key.pem < requests.json > signed.json.new && mv signed.json.new signed.json

requirements: setup ## compile the pinned requirements from the short .in files
	cd layers/common && uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.13 \
		--no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	cd layers/chef && uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.13 \
		--no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	cd tests && uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.13 \
		--no-emit-index-url --no-emit-find-links -c ../layers/common/requirements.txt -c ../layers/chef/requirements.txt \
		requirements.in -o requirements.txt
	cd tests/truth && for each in 2.16:3.12 newest:3.13; do uv pip compile --quiet --upgrade --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --python-version $${each#*:} \
		requirements-$${each%:*}.in -o requirements-$${each%:*}.txt || exit 1; done

doctor: setup ## what is set up wrongly in the stack STACK, in AWS and in Tower, with the remedies: ARGS='--group web'
	@$(ROLLCALL) doctor --stack '$(STACK)' $(ARGS)

reconcile: setup ## one run of reconcile on the stack STACK, its result in words: ARGS='--dry-run --group web', ARGS=--help
	@$(ROLLCALL) reconcile --stack '$(STACK)' $(ARGS)

redrive: setup ## what is in the dead-letter queues of the stack STACK, in words; ARGS=--send sends it back, ARGS=--help
	@$(ROLLCALL) redrive --stack '$(STACK)' $(ARGS)

release: setup ## let groups go that the provisioning circuit breaker holds: ARGS='--group web'
	@$(ROLLCALL) release $(ARGS)

uninstall-check: setup ## groups that still have hooks which the stack STACK answers (gone already: PREFIX=...)
	@$(ROLLCALL) uninstall-check --stack '$(STACK)' $(if $(PREFIX),--prefix '$(PREFIX)')

clean: ## everything that was built or set up
	rm -rf $(VENV) .aws-sam build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -exec rm -rf {} +
