# Every target works alone and first in a fresh clone; run again, it takes seconds.
PYTHON ?= python3
PORT   ?= 8501

VENV := .venv
PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip install --disable-pip-version-check
RUN  := $(VENV)/run.stamp
DEV  := $(VENV)/dev.stamp

.PHONY: run test soak lint format bench browser clean
.DEFAULT_GOAL := run

run: $(RUN)
	$(PY) -m streamlit run app.py --server.port=$(PORT)

# Every part runs and each can fail. What fails is tried once more, alone: on a busy machine a deadline can be missed
# without a fault. What fails twice fails. A part has a cache of its own, emptied first, so the second try is of what has
# just failed in this part and of nothing else; if it was no test that failed, nothing is tried again, and that fails too.
# A file of browser tests stays with one worker, which has a server, a home and a browser of its own.
# The faults have the machine to themselves: they kill engines.
test: $(DEV) browser
	@status=0; export OMP_NUM_THREADS=1; \
	part() { \
		name=$$1; how=$$2; shift 2; \
		$(PY) -m pytest -o cache_dir=.pytest_cache/$$name --cache-clear $$how "$$@" || \
		$(PY) -m pytest -o cache_dir=.pytest_cache/$$name --last-failed --last-failed-no-failures none -rA "$$@" || \
		status=$$?; \
	}; \
	part unit "-n 2 --dist worksteal" --ignore=tests/browser --ignore=tests/faults; \
	part faults "" tests/faults -m "not soak"; \
	part browser "-n 2 --dist loadfile" tests/browser; \
	exit $$status

# Twenty kills of each kind, memory and disk at their ends, and a quarter of an hour of two crowds.
soak: $(DEV)
	OMP_NUM_THREADS=1 LVMVIZ_TEST_KILLS=20 $(PY) -m pytest -m faults -rA
	$(PY) -m benchmarks.load --seconds 450

lint: $(DEV)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m pyright

format: $(DEV)
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

bench: $(DEV) browser
	$(PY) -m benchmarks.ui
	$(PY) -m benchmarks.quadrature
	$(PY) -m benchmarks.plane_errors --each 20
	$(PY) -m benchmarks.runs
	$(PY) -m benchmarks.em
	$(PY) -m benchmarks.vae
	$(PY) -m benchmarks.vae_ui
	$(PY) -m benchmarks.load

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis benchmarks/scratch tests/browser/shots
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

# A Chromium that is there, else Debian's (root), else the one Playwright brings.
browser: $(DEV)
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && grep -qs '^ID=debian' /etc/os-release; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core; \
	else $(PY) -m playwright install chromium; fi

# The stamps are newer than the requirements they installed. pip is the last thing venv makes: with it, the venv is whole.
$(DEV): requirements-dev.txt $(RUN)
	$(PIP) -r requirements-dev.txt
	@touch $@

$(RUN): requirements.txt | $(VENV)/bin/pip
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "lvmviz needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
