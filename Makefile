# Everything a contributor runs. Each target sets up what it needs.
PYTHON ?= python3.13
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: setup lint test clean

setup: $(VENV)/.done

$(VENV)/.done: tests/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Rollcall needs $(PYTHON): install it, or name yours with PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) (once; about a minute, seconds with a warm package cache)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	@$(VENV)/bin/uv pip sync --quiet --require-hashes --python $(VENV)/bin/python tests/requirements.txt
	@touch $@
