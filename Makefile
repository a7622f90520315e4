# The only entry point; CI calls the same targets.
PY ?= python3
EVENTS ?= 20000
# Twice CI's cores: the tests with a broker wait more than they compute.
JOBS ?= 4
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install dev fmt lint check test peers demo drill faults tampering alerts bench docs screenshots \
	topics audit clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard audit_stream/*/_*.[ch])
	@$(PY) -c 'import sys; sys.exit("Python 3.11 or later is needed, e.g.: make PY=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PY) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

dev: install

fmt: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/pytest -q tests/architecture/test_size_budget.py

check: lint
	$(BIN)/pytest -q $(PARALLEL) -m "not kafka and not slow and not bench"

test: install lint
	$(BIN)/pytest $(PARALLEL) -m "not bench"

# Needs Go 1.26 or later: programs of others that judge our log and our deployment in the tests, and an S3 server.
peers:
	cd tests/peers/go && go build -o $(CURDIR)/build/peers/ ./sumdb filippo.io/torchwood/cmd/litewitness
	cd tests/peers/versitygw && go build -o $(CURDIR)/build/peers/ github.com/versity/versitygw/cmd/versitygw
	cd tests/peers/hcl && go build -o $(CURDIR)/build/peers/ ./hclplan
	cd tests/peers/helm && go build -o $(CURDIR)/build/peers/ ./chartplan github.com/yannh/kubeconform/cmd/kubeconform

demo: install
	$(BIN)/audit-stream demo

drill: install
	AUDIT_TEST_REQUIRE=1 AUDIT_DRILL_EVENTS=$(EVENTS) $(BIN)/pytest -s -p no:randomly \
		tests/integration/test_disaster.py

faults: install
	$(BIN)/python -m tests.campaigns.faults
	$(BIN)/python -m tests.campaigns.faults --store s3

# Ten thousand malformed requests, twice: some minutes.
.PHONY: hostile
hostile: install
	AUDIT_TEST_MALFORMED=10000 $(BIN)/pytest -q --timeout=3600 tests/unit/gateway/test_sockets.py

.PHONY: erasure
erasure: install
	$(BIN)/python -m tests.campaigns.erasure

# An hour; `python -m tests.campaigns.soak --help` for shorter ones.
.PHONY: soak growth
soak: install
	$(BIN)/python -m tests.campaigns.soak --write

growth: install
	$(BIN)/python -m bench.growth --write

# Fifty seeds, some 80 s each on two free cores. SEED=7 replays one.
.PHONY: chaos
chaos: install
	$(BIN)/python -m tests.campaigns.chaos $(if $(SEED),--seed $(SEED),--seeds 50)

tampering: install
	$(BIN)/python -m tests.campaigns.tampering

bench: install
	$(BIN)/python -m bench.run --write

docs: install
	$(BIN)/python docs/generate.py
	$(BIN)/python deploy/monitoring/grafana/generate.py
	$(BIN)/python deploy/helm/generate.py

# Needs Chromium.
screenshots: install
	PYTHONPATH=. $(BIN)/python docs/screenshots.py

topics: install
	$(BIN)/pytest -q tests/topics

# Needs the Debian packages prometheus and prometheus-alertmanager.
alerts: install
	$(BIN)/pytest -q -s tests/integration/test_alerts.py

# Strict: a package that the service could not be asked about is a failure, not a pass.
audit: install
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# Into dist/, which must be empty; of the last commit.
.PHONY: release release-check
release: install
	$(BIN)/python -m deploy.release build dist

# Twice, differently; with RELEASE=folder, a release against one that is built here.
release-check: install
	$(BIN)/python -m deploy.release check $(RELEASE)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
