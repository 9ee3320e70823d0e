# make demo   install, open the app, fill it with a simulated fleet, keep that fleet running
# make test   install, run the tests: three at once, since a test waits for a third of its time
# make check  format, lint, types, layers
# make bench  all benchmarks, quick form; benchmarks/peers.sh first installs what they compare with
# make docs   write docs/conventions.md from the registry

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := .demo
PORT ?= 8501
BENCHMARKS := $(addprefix benchmarks/,ingest.py receiver_faults.py peers.py device.py device_faults.py chains.py console.py \
	explain.py explain_beside.py monitor.py monitor_demo.py growth.py)

.PHONY: demo test check bench docs clean

$(INSTALLED): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(BIN)/python -m observability.collect.scan.warmth
	$(BIN)/python -c "from observability.explain.attribution import warm; warm()"
	touch $@

demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/python -m observability.fleet.demo $(DEMO)/fleet --port $(PORT)

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(INSTALLED)
	for script in $(BENCHMARKS); do $(BIN)/python $$script --quick || exit 1; done

docs: $(INSTALLED)
	$(BIN)/python -m traces.conventions > docs/conventions.md

clean:
	rm -rf .venv $(DEMO)
