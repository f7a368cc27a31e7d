# Needs make, and Python 3.11 or newer; everything else goes into .venv.
# Plain POSIX make and sh, so that GNU's and BSD's both read it.

PORT ?= 8501
PYTHON ?= python3

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' Makefile

run: .venv/runtime ## set up and serve Rollcall on http://127.0.0.1:8501 (PORT=9000 for another port)
	@PORT=$(PORT) exec .venv/bin/python app.py

test: .venv/development browser server proxy lint ## set up, a browser included; check the code and run all tests
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/development ## check format, code, types and the direction of imports
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/basedpyright
	.venv/bin/lint-imports --no-logo

audit: .venv/development ## look the pinned packages up among the known vulnerabilities
	@.venv/bin/python .ci/audit

format: .venv/development ## put the code into its format and order its imports
	.venv/bin/ruff check --select I --fix
	.venv/bin/ruff format

bench: .venv/development ## run the benchmarks (PARTS=browsing: only those; PARTS=--quick: a tenth of everything), into benchmarks/RESULTS.md
	.venv/bin/python -m benchmarks $(PARTS)

requirements: .venv/development ## pin what pyproject.toml asks for (UPGRADE=1: the newest of all)
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --output-file requirements-dev.txt --extra dev --constraint requirements.txt

clean: ## remove the environment and the caches; the store in var/ stays
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE = .venv/bin/uv pip compile pyproject.toml --group build --quiet $${UPGRADE:+--upgrade} \
	--universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make requirements"

# The stamps: a file in .venv says what is installed there, so that nothing is installed twice.
# Build isolation is off, as it would fetch a setuptools of its own, with no hash to check.
INSTALL = .venv/bin/python -m pip install -qq --disable-pip-version-check
EDITABLE = $(INSTALL) --no-deps --no-build-isolation --editable .

.venv/runtime: .venv/created requirements.txt pyproject.toml
	@echo "Installing what Rollcall needs, once; this takes a minute."
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(EDITABLE)
	@touch .venv/runtime

.venv/development: .venv/created requirements.txt requirements-dev.txt pyproject.toml
	@echo "Installing what Rollcall and its tests need, once; this takes a minute or two."
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@$(EDITABLE)
	@touch .venv/runtime .venv/development

.venv/created:
	@for python in "$(PYTHON)" python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
				echo "$$python cannot make virtual environments; on Debian and Ubuntu" \
					"'apt-get install python3-venv' adds that." >&2; \
				exit 1; \
			fi; \
			"$$python" -m venv --clear .venv && touch .venv/created && exit 0; \
			exit 1; \
		fi; \
	done; \
	echo "Rollcall needs Python 3.11 or newer, and found none:" \
		"'$(PYTHON)' is older or missing. Install one, or name it: make run PYTHON=..." >&2; \
	exit 1

# Playwright drives a browser that is there; its own builds exist for few systems.
browser:
	@for browser in chromium chromium-browser google-chrome google-chrome-stable \
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do \
		if command -v "$$browser" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests, once."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends chromium fonts-noto-core fonts-noto-color-emoji </dev/null; \
	else \
		echo "The tests need Chromium or Chrome; on Debian and Ubuntu" \
			"'sudo apt-get install chromium' installs it." >&2; \
		exit 1; \
	fi

# The tests start a PostgreSQL server of their own, as another user than root.
server:
	@for server in /usr/lib/postgresql/*/bin/pg_ctl "$$(command -v pg_ctl)"; do \
		if [ -x "$$server" ]; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing PostgreSQL for the tests, once."; \
		mkdir -p /etc/postgresql-common && \
			echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends postgresql </dev/null; \
	else \
		echo "The tests need PostgreSQL; on Debian and Ubuntu" \
			"'sudo apt-get install postgresql' installs it." >&2; \
		exit 1; \
	fi

# Without it, what is tried with it is skipped, and that is said.
proxy:
	@if ! command -v nginx >/dev/null && [ ! -x /usr/sbin/nginx ] \
			&& [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing nginx for the tests, once."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends nginx-light </dev/null || true; \
	fi

.PHONY: help run test lint audit format bench requirements clean browser server proxy
