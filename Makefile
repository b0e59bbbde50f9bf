# `make demo` trains a real model and writes a report; `make test` runs the tests. Each works alone on a fresh machine.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Two folders of one machine may share pip's cache, never an environment.
READY := $(VENV)/.ready

.PHONY: demo test check clean

demo: $(READY)  ## RLTF on SmolLM2-135M with the starter tasks, 10 to 15 minutes on 2 cores; writes runs/demo/report.html
	$(RUN)/linewise train rltf --policy smollm2-135m --tasks starter --out $(or $(OUT),runs/demo)

# One thread for torch in each of two processes: small models gain nothing from more, and the files of tests are independent.
test: $(READY)  ## all tests
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -q -n 2 --dist loadfile

check: $(READY)  ## style and types
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Linewise needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
