# Start with `make demo` and `make test`. They require Python 3.11+ and make, and write to .venv/ and .demo/.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
UV := $(VENV)/bootstrap/bin/uv
AIRFLOW3 := $(VENV)/airflow3/bin
AIRFLOW2 := $(VENV)/airflow2/bin
STARTED := $(shell date +%s)
RUN_TESTS := $(VENV)/bootstrap/bin/python tools/run_tests.py
export AIRFLOW__CORE__LOAD_EXAMPLES = False
# Otherwise Airflow 2.11 prints two deprecation warnings with every command.
export AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY = True
# Every test process would compile the package and the tests again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-image test test-fast test-airflow3 test-airflow2 test-pythons test-lowest coverage
.PHONY: check lint spelling words types imports workflows format schemathesis fault-run
.PHONY: system-test test-user-project browser-test prove bench bench-scale bench-waiting bench-sync bench-limits test-matrix test-celery dist release docs docs-publish upgrade clean

help: ## list the commands
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | expand -t 16

demo: $(VENV)/demo/.ready ## run a campaign on real Airflow against the sandbox; KEEP=1 keeps both running
	@$(VENV)/demo/bin/python tools/demo.py --started $(STARTED) $(if $(KEEP),--keep) $(ARGS)

demo-image: $(VENV)/demo/.ready ## record the demo for the README
	@rm -rf .demo/library
	@$(VENV)/demo/bin/python tools/demo.py --svg docs/images/demo.svg

test: $(VENV)/airflow3/.ready $(VENV)/airflow2/.ready ## run the tests on Airflow 3, and on Airflow 2 those that depend on it
	@$(RUN_TESTS) airflow3 airflow2 -- $(ARGS)

test-fast: $(VENV)/airflow3/.ready ## run the unit tests on Airflow 3 (half a minute)
	@$(RUN_TESTS) airflow3 -- tests/unit --hypothesis-profile=fast $(ARGS)

test-airflow3: $(VENV)/airflow3/.ready ## run the tests on Airflow 3
	@$(RUN_TESTS) airflow3 -- $(ARGS)

test-airflow2: $(VENV)/airflow2/.ready ## run all tests on Airflow 2
	@$(RUN_TESTS) airflow2 -- $(ARGS)

test-pythons: test-python3.12 test-python3.13 ## run the unit tests on Python 3.12 and 3.13

test-python%: $(VENV)/python%/.ready
	$(VENV)/python$*/bin/python -m pytest tests/unit --numprocesses=auto --dist=worksteal

test-lowest: $(VENV)/lowest/.ready ## run unit, contract and fault tests with the oldest versions that pyproject.toml allows
	$(VENV)/lowest/bin/python -m pytest -W ignore --numprocesses=auto --dist=worksteal \
	  $(or $(ARGS),tests/unit tests/contract tests/faults --ignore=tests/contract/test_object_store.py)

coverage: $(VENV)/airflow3/.ready ## measure which lines and branches the unit, contract and fault tests run
	$(AIRFLOW3)/python -m pytest --cov=airflow_provider_media --numprocesses=auto --dist=worksteal \
	  $(or $(ARGS),tests/unit tests/contract tests/faults)

check: lint spelling words types imports workflows ## check style, spelling, words, types, imports and workflows

lint: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/ruff check .
	$(AIRFLOW3)/ruff check --preview --select AIR airflow_provider_media example_dags
	$(AIRFLOW3)/ruff format --check .

spelling: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/codespell
	$(AIRFLOW3)/validate-pyproject pyproject.toml
	@! git grep -InE '[[:blank:]]+$$' || { echo "These lines have trailing whitespace."; exit 1; }

words: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/python tools/check_words.py

types: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/mypy

imports: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/lint-imports

workflows: $(VENV)/airflow3/.ready
	$(AIRFLOW3)/zizmor --offline --quiet .github

format: $(VENV)/airflow3/.ready ## format the code
	$(AIRFLOW3)/ruff check --fix-only .
	$(AIRFLOW3)/ruff format .

schemathesis: $(VENV)/airflow3/.ready ## test the sandbox against its OpenAPI contract with Schemathesis
	$(AIRFLOW3)/python -m tests.schemathesis.run $(ARGS)

fault-run: $(VENV)/airflow3/.ready ## upload 1,000 files with random faults (seeded); check the library
	$(AIRFLOW3)/python -m tests.faults.chaos $(ARGS)

system-test: $(VENV)/airflow3/.ready ## kill real workers and triggerers on a complete Airflow 3 (six minutes)
	$(AIRFLOW3)/python -m pytest tests/system --system $(ARGS)

test-user-project: $(UV) ## build the wheel, and run a user's project and its tests with it in a clean environment
	@rm -rf $(VENV)/wheel
	$(UV) build --quiet --wheel --out-dir $(VENV)/wheel
	@PATH="$$PATH:$(PYENV_BINS)" $(UV) venv --quiet --clear --python '$(PYTHON_OF_airflow3)' $(VENV)/user-project
	@VIRTUAL_ENV=$(VENV)/user-project $(UV) pip install --quiet --constraint constraints/airflow3.txt "$$(ls $(VENV)/wheel/*.whl)[testing]"
	cd tests/user_project && ../../$(VENV)/user-project/bin/python -m pytest -p no:cacheprovider $(ARGS)

browser-test: $(VENV)/airflow3/.ready /usr/bin/chromium ## test the UI of a complete Airflow 3, and the documentation site, in a real browser (five minutes)
	$(AIRFLOW3)/python -m pytest tests/browser --in-browser $(ARGS)

/usr/bin/chromium:
	@echo "-- Installing Debian's chromium (once)"
	@apt-get install --yes --quiet --no-install-recommends chromium >/dev/null 2>&1 \
	  || { echo "Chromium is missing: install Debian's package chromium, then run this command again." >&2; exit 1; }

test-matrix: $(UV) ## run the tests on all supported Airflows and Pythons, update docs/reference/versions.md (an hour; ARGS=3.0 for one)
	PATH="$$PATH:$(PYENV_BINS)" $(VENV)/bootstrap/bin/python tools/test_matrix.py $(ARGS)

test-celery: $(VENV)/celery/.ready ## run a campaign on Redis, PostgreSQL and two Celery workers, and kill one of them
	$(VENV)/celery/bin/python -m tests.scale.run $(ARGS)

dist: $(VENV)/dist/.ready ## build wheel and source archive, check them, run an example (URL=... adds links; ARGS=--every-airflow: on 2.11 and 3.4 too)
	@PATH="$$PATH:$(PYENV_BINS)" $(VENV)/dist/bin/python tools/dist.py $(if $(URL),--url $(URL)) $(ARGS)

release: ## set VERSION=X.Y.Z, date the changelog, commit and tag
	@$(PYTHON) tools/release.py $(or $(VERSION),$(error make release VERSION=X.Y.Z))

prove: $(VENV)/airflow3/.ready ## remove each protection of the upload and check that its test fails
	$(AIRFLOW3)/python -m tests.faults.mutation

bench: $(VENV)/airflow3/.ready ## measure uploads with this package, curl, requests, httpx and others; then imports
	$(AIRFLOW3)/python benchmarks/uploads.py $(ARGS)
	@echo
	$(AIRFLOW3)/python benchmarks/imports.py

bench-scale: $(VENV)/airflow3/.ready ## measure costs that must not grow with the library, update docs/explanation/scale.md
	$(AIRFLOW3)/python benchmarks/scale.py --write $(ARGS)

bench-waiting: $(VENV)/airflow3/.ready ## measure waiting with this package and Airflow's deferrable HttpSensor (15 minutes)
	$(AIRFLOW3)/python benchmarks/waiting.py $(ARGS)

bench-sync: $(VENV)/airflow3/.ready ## measure the sync of a folder, a loop over Airflow's HttpHook, and mapped uploads
	$(AIRFLOW3)/python benchmarks/sync.py $(ARGS)

bench-limits: $(VENV)/airflow3/.ready ## measure a sync under an API key's rate limits, and an upload with one 502
	$(AIRFLOW3)/python benchmarks/limits.py $(ARGS)

docs: $(VENV)/airflow3/.ready ## build the documentation as a site in build/site; every warning is an error
	@rm -rf build/site
	AIRFLOW_HOME=$(CURDIR)/build/docs-airflow $(AIRFLOW3)/python -m sphinx --builder html --conf-dir docs --doctree-dir build/doctrees \
	  --fail-on-warning --keep-going --quiet --jobs auto . build/site
	@! grep -rlE '<(link|script|img|iframe)[^>]+(href|src)="(https?:)?//' build/site --include='*.html' || \
	  { echo "These pages load resources from the network."; exit 1; }
	@echo "The site: build/site/index.html"

docs-publish: $(VENV)/dist/.ready ## add the site of make docs to TARGET=folder, which has the sites of all versions
	$(VENV)/dist/bin/python tools/publish_docs.py $(or $(TARGET),$(error make docs-publish TARGET=folder))

upgrade: $(UV) ## upgrade all pinned versions
	$(UV) pip compile $(COMPILE) --constraint <(echo 'apache-airflow>=3,<4') --group test --group s3 --group lineage --group check \
	  --group bench --group browser --group docs --group celery --group dist \
	  -o constraints/airflow3.txt
	$(UV) pip compile $(COMPILE) --constraint <(echo 'apache-airflow<3') --group test --group s3 --group lineage \
	  --python-version 3.11 \
	  -o constraints/airflow2.txt
	for release in $(OLD_AIRFLOWS); do version=$${release%=*}; \
	  $(UV) pip compile $(filter-out --universal,$(COMPILE)) --constraint <(echo "apache-airflow==$$version") --group test --group s3 \
	  --python-version 3.12 --exclude-newer $${release#*=} $(addprefix --exclude-newer-package ,$(NEWER)) \
	  -o constraints/airflow$${version%.*}.txt || exit; done

# Package versions as of shortly after each release, for one Python; newer only for packages of our own lower limits.
OLD_AIRFLOWS := 3.0.6=2025-09-15 3.1.8=2026-03-25 3.2.2=2026-06-15 3.4.0b2=2026-11-28
NEWER := $(addsuffix =2026-11-24,apache-airflow-providers-common-compat pillow python-multipart urllib3)
COMPILE := pyproject.toml --extra sandbox --universal --upgrade --no-annotate --no-header --quiet

# --- environments -----------------------------------------------------------------------------------------------------

# A valid environment, so that `uv sync` can also use the folder.
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv --without-pip $(VENV)

$(UV): | $(VENV)/pyvenv.cfg
	@echo "-- Setting up (once)"
	@$(PYTHON) -m venv $(VENV)/bootstrap
	@$(VENV)/bootstrap/bin/pip install --quiet --disable-pip-version-check uv

# pyenv's versions are not in PATH.
PYENV_BINS := $(shell ls -d "$$(pyenv root 2>/dev/null)"/versions/3.1[1-9]*/bin 2>/dev/null | paste -sd:)

$(VENV)/%/.ready: pyproject.toml constraints/airflow2.txt constraints/airflow3.txt | $(UV)
	@echo "-- Setting up the environment $*"
	@PATH="$$PATH:$(PYENV_BINS)" $(UV) venv --quiet --allow-existing --python '$(PYTHON_OF_$*)' $(VENV)/$*
	@[ ! -t 2 ] || { while sleep 1; do printf . >&2; done & trap "kill $$!; echo >&2" EXIT; }; \
	  VIRTUAL_ENV=$(VENV)/$* $(UV) pip install --quiet $(if $(filter demo,$*),,--compile-bytecode) $(NEEDS_OF_$*)
	@touch $@

PYTHON_OF_airflow3 := >=3.11,<3.14
PYTHON_OF_airflow2 := >=3.11,<3.13
PYTHON_OF_celery := $(PYTHON_OF_airflow3)
PYTHON_OF_demo := $(PYTHON_OF_airflow3)
PYTHON_OF_dist := $(PYTHON_OF_airflow3)
PYTHON_OF_lowest := 3.11
PYTHON_OF_python3.12 := 3.12
PYTHON_OF_python3.13 := 3.13

NEEDS_OF_demo := --constraint constraints/airflow3.txt --editable '.[sandbox]'
NEEDS_OF_airflow3 := --constraint constraints/airflow3.txt --editable '.[sandbox]' --group test --group s3 --group lineage \
  --group check --group bench --group browser --group docs
NEEDS_OF_airflow2 := --constraint constraints/airflow2.txt --editable '.[sandbox]' --group test --group s3 --group lineage
NEEDS_OF_celery := --constraint constraints/airflow3.txt --editable '.[sandbox]' --group celery --group test
NEEDS_OF_dist := --constraint constraints/airflow3.txt --group dist
# Airflow 2.11.0 does not work with universal-pathlib 0.3, but does not exclude it.
NEEDS_OF_lowest := --resolution lowest-direct --constraint <(echo 'universal-pathlib<0.3') --editable '.[sandbox]' --group test
NEEDS_OF_python3.12 := --constraint constraints/airflow3.txt --editable '.[sandbox]' --group test
NEEDS_OF_python3.13 := $(NEEDS_OF_python3.12)

clean: ## remove the environments and build results
	rm -rf $(VENV) .demo dist
