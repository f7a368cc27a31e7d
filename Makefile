# Needs make and Python 3.11 or newer. Everything else is installed into .venv.
# POSIX make and sh only, so that it runs with GNU make and with BSD make.

PORT ?= 8501
PYTHON ?= python3

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' Makefile

run: .venv/runtime ## set up and serve Rollcall on http://127.0.0.1:8501 (PORT=9000 sets another port)
	@PORT=$(PORT) exec .venv/bin/python app.py

test: .venv/development browser server proxy lint ## set up, including a browser; check the code and run all tests
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: .venv/development ## check format, code, types and import direction
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/basedpyright
	.venv/bin/lint-imports --no-logo
	.venv/bin/python .ci/house

audit: .venv/development ## check the pinned packages for known vulnerabilities
	@.venv/bin/python .ci/audit

sbom: .venv/development ## list the components of the app and of the image as CycloneDX in build/sbom
	@SOURCE_DATE_EPOCH=$(EPOCH) .venv/bin/python .ci/sbom build/sbom

wheel: .venv/development ## build the wheel into build/wheel; the same files give the same bytes
	@rm -rf build/lib build/wheel
	@umask 022 && SOURCE_DATE_EPOCH=$(EPOCH) .venv/bin/python -c "$(BUILD_WHEEL)"

format: .venv/development ## format the code and sort its imports
	.venv/bin/ruff check --select I --fix
	.venv/bin/ruff format

bench: .venv/development ## run the benchmarks into benchmarks/RESULTS.md (PARTS=browsing: one part; PARTS=--quick: a tenth of all)
	.venv/bin/python -m benchmarks $(PARTS)

simulate: .venv/development ## simulate days at random (SEED=7 repeats them, DAYS=1000, LIVES=10)
	@PYTHONPATH=tests .venv/bin/python -m simulation $${SEED:+--seed $(SEED)} $${DAYS:+--days $(DAYS)} $${LIVES:+--lives $(LIVES)} $${DATABASE:+--database $(DATABASE)}

requirements: .venv/development ## pin the packages of pyproject.toml (UPGRADE=1: take the newest versions)
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --output-file requirements-dev.txt --extra dev --constraint requirements.txt

clean: ## remove the environment and the caches, but not the data in var/
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE = .venv/bin/uv pip compile pyproject.toml --group build --quiet $${UPGRADE:+--upgrade} \
	--universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make requirements"

# The time of the last commit stands for all times in what is built.
EPOCH = $${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
BUILD_WHEEL = from setuptools import build_meta as b; b.build_wheel('build/wheel')

# Stamp files in .venv record what is installed, so that nothing is installed twice.
# Build isolation is off, because it would download a setuptools without a hash to check.
INSTALL = .venv/bin/python -m pip install -qq --disable-pip-version-check
EDITABLE = $(INSTALL) --no-deps --no-build-isolation --editable .

.venv/runtime: .venv/created requirements.txt pyproject.toml
	@echo "Installing Rollcall's packages. This takes a minute and happens once."
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(EDITABLE)
	@touch .venv/runtime

.venv/development: .venv/created requirements.txt requirements-dev.txt pyproject.toml
	@echo "Installing the packages of Rollcall and its tests. This takes a minute or two and happens once."
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@$(EDITABLE)
	@touch .venv/runtime .venv/development

.venv/created:
	@for python in "$(PYTHON)" python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
				echo "$$python cannot create virtual environments. On Debian and Ubuntu, run" \
					"'apt-get install python3-venv'." >&2; \
				exit 1; \
			fi; \
			"$$python" -m venv --clear .venv && touch .venv/created && exit 0; \
			exit 1; \
		fi; \
	done; \
	echo "Rollcall needs Python 3.11 or newer;" \
		"'$(PYTHON)' is older or missing. Install Python, or name one: make run PYTHON=..." >&2; \
	exit 1

# Playwright drives an installed browser, because its own builds exist for few systems only. Debian
# has a Chromium without windows, which is faster.
browser:
	@for browser in chromium-headless-shell chromium chromium-browser google-chrome google-chrome-stable \
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do \
		if command -v "$$browser" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests."; \
		apt-get update -qq && for browser in chromium-headless-shell chromium; do \
			DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
				$$browser fonts-noto-core fonts-noto-color-emoji </dev/null && exit 0; \
		done; exit 1; \
	else \
		echo "The tests need Chromium or Chrome. On Debian and Ubuntu, run" \
			"'sudo apt-get install chromium'." >&2; \
		exit 1; \
	fi

# The tests start their own PostgreSQL server, which cannot run as root.
server:
	@for server in /usr/lib/postgresql/*/bin/pg_ctl "$$(command -v pg_ctl)"; do \
		if [ -x "$$server" ]; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing PostgreSQL for the tests."; \
		mkdir -p /etc/postgresql-common && \
			echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends postgresql </dev/null; \
	else \
		echo "The tests need PostgreSQL. On Debian and Ubuntu, run" \
			"'sudo apt-get install postgresql'." >&2; \
		exit 1; \
	fi

# Without nginx, its tests are skipped, and pytest reports it.
proxy:
	@if ! command -v nginx >/dev/null && [ ! -x /usr/sbin/nginx ] \
			&& [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing nginx for the tests."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends nginx-light </dev/null || true; \
	fi

.PHONY: help run test lint audit sbom wheel format bench requirements clean browser server proxy
