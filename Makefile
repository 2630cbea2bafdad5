# Everything sets itself up, into .venv, .venv-bots and .wheels, from Python 3.11+, make and gcc. The second time is quick.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BOTS   := .venv-bots
WHEELS := .wheels
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
BUILD  := $(PIP) install --no-build-isolation

.PHONY: help demo test unit hsm units tracer vault bots wheels docs demo-svg lint coverage lowest bench soak lock clean

help:
	@echo "make demo    the whole story on a simulated exchange, in about a minute"
	@echo "make test    all tests"
	@echo "make unit    the unit tests, in half a minute"
	@echo "make lint    formatting, lints and types"
	@echo "make coverage  how much of the code the unit and property tests run"
	@echo "make lowest  the unit tests on the oldest dependencies that are allowed"
	@echo "make bench   side by side with its peers; writes a table"
	@echo "make soak    a million requests through one gateway; writes its memory into a table"
	@echo "make docs    write the tables of docs/ from the program"
	@echo "make demo-svg  draw what the demo shows, for README"
	@echo "make lock    resolve the dependencies anew"
	@echo "make clean   remove what make installed and what the tools keep"

demo: $(VENV)/.demo
	@$(BIN)/signer demo

# Tests start hundreds of programs, which read compiled modules instead of compiling them each time.
test unit: export PYTHONDONTWRITEBYTECODE :=

# Files in the order of tests/conftest.py: the long ones first, so that no worker is left with one at the end.
test: $(VENV)/.dev hsm units tracer vault bots wheels
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

unit: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/unit

# A software HSM, for the tests of the pkcs11 store. Without it they are skipped, and CI allows no skip.
hsm:
	@command -v softhsm2-util >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq softhsm2 >/dev/null; } || \
	  echo "softhsm2 is not here: the tests of the HSM are skipped (Debian: apt-get install softhsm2)"

# The program that judges the systemd unit, for the tests of deploy/; the same holds for it.
units:
	@command -v systemd-analyze >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd >/dev/null; } || \
	  echo "systemd-analyze is not here: the tests of the unit are skipped (Debian: apt-get install systemd)"

# The program that shows which bytes leave when, for the test of the order path; the same holds for it.
tracer:
	@command -v strace >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends strace >/dev/null; } || \
	  echo "strace is not here: the test of the order path is skipped (Debian: apt-get install strace)"

# A real Vault, for the tests of its stores: found, or built once into ~/.cache/signer.
vault: $(VENV)/.dev
	@$(BIN)/python -m tests.vault.found

# Whole bots and client libraries, for the tests that run them. They want other versions of libraries than signer does.
bots: $(VENV)/.dev
	@[ $(BOTS)/.done -nt requirements-bots.lock ] || { \
	  echo "installing the bots that tests run (about a minute, once) …" && rm -rf $(BOTS) && $(PYTHON) -m venv $(BOTS) && \
	  $(BOTS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-bots.lock && \
	  touch $(BOTS)/.done; } || echo "the bots cannot be installed: the tests that run them are skipped"

# All files that a new user's installation fetches, for the test that follows README without the network: the files of the
# lock as they are published, the tools that build them, and wheels of those that are published as source only.
wheels: $(VENV)/.dev
	@[ $(WHEELS)/.done -nt requirements-demo.lock ] && [ $(WHEELS)/.done -nt requirements-build.lock ] || { \
	  echo "fetching what a new user installs (half a minute, once) …" && rm -rf $(WHEELS) && \
	  $(PIP) download --require-hashes -r requirements-demo.lock -d $(WHEELS)/published && \
	  $(PIP) download --require-hashes -r requirements-build.lock -d $(WHEELS)/published && \
	  $(PIP) wheel --no-deps --no-index --find-links $(WHEELS)/published -w $(WHEELS)/compiled $(WHEELS)/published/*.tar.gz && \
	  touch $(WHEELS)/.done; } || echo "a new user's packages cannot be fetched: the test that follows README is skipped"

docs: $(VENV)/.dev
	@$(BIN)/python -m tools.reference

# What README shows of the demo: the demo is run, so it is made by hand when the demo changes.
demo-svg: $(VENV)/.dev
	@$(BIN)/python -m tools.demo_svg

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose/*.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run deploy/vault/setup.sh; else echo "lint: shellcheck is not here, shell scripts not checked"; fi

# How much of signer the unit and property tests run; a branch that none takes is one that nobody has seen.
coverage: $(VENV)/.dev
	@$(BIN)/coverage run -m pytest -n0 tests/unit tests/property
	@$(BIN)/coverage report

# The unit tests on the oldest versions that pyproject.toml allows, in an environment of their own.
lowest: $(VENV)/.dev
	@$(PIP) install uv
	@rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	@$(BIN)/uv pip install -q --python .venv-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	@.venv-lowest/bin/python -m pytest -n 2 tests/unit \
	  --deselect tests/unit/doctor/test_versions.py::test_this_checkout_is_as_locked

bench: $(VENV)/.dev hsm vault
	@benchmarks/run

soak: $(VENV)/.dev
	@benchmarks/soak

# The virtual environment. A Debian machine may lack venv, or the headers that gunicorn's parser is compiled with. Then root
# gets them from apt, and any other user is told what to install.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "signer needs Python 3.11 or newer; say which with make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, sysconfig, os, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq python3-venv python3-dev >/dev/null; } || \
	  { echo "install Python's venv module and headers first (Debian: apt-get install python3-venv python3-dev)"; exit 1; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The tools that build packages come from a lock as well, so pip must not fetch its own.
$(VENV)/.demo: $(VENV)/.venv requirements-build.lock requirements-demo.lock pyproject.toml
	@$(PIP) install --require-hashes -r requirements-build.lock
	@[ -e $(VENV)/.dev ] || $(BUILD) --use-pep517 --require-hashes -r requirements-demo.lock
	@$(BUILD) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.venv requirements-build.lock requirements-dev.lock pyproject.toml
	@echo "installing what the tests need (about half a minute, once) …"
	@$(PIP) install --require-hashes -r requirements-build.lock
	@$(BUILD) --use-pep517 --require-hashes -r requirements-dev.lock
	@$(BUILD) --no-deps --editable .
	@touch $@

lock: $(VENV)/.dev
	@$(PIP) install uv
	@for extra in "" demo dev hsm; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $${extra:+--extra $$extra} pyproject.toml -o requirements$${extra:+-$$extra}.lock >/dev/null || exit 1; \
	done
	@for group in bots build; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --group $$group -o requirements-$$group.lock >/dev/null || exit 1; \
	done

clean:
	rm -rf $(VENV) .venv-lowest $(BOTS) $(WHEELS) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
