# Every target sets up .venv by itself, and again only when the pins or the project's metadata change.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

CONDITIONS := night snow rain fog game
DOCUMENTS := README.md,docs/study.md,docs/self_training.md

.PHONY: setup demo study test bench lint format clean

setup: $(INSTALLED)

$(INSTALLED): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zsda needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Use: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(RUN) -m zsda.demo

# An hour on two cores with units for bf16, and on from where it was; then the documents that show its figures.
study: $(INSTALLED)
	$(RUN) -m zsda.study world=miniature
	cp runs/study/report/scores.csv docs/study_scores.csv
	cp runs/study/report/fog.jpg docs/demo.jpg
	for name in $(CONDITIONS); do cp runs/study/report/$$name.jpg docs/miniature_$$name.jpg; done
	$(RUN) -m zsda.report 'documents=[$(DOCUMENTS)]'

# Each process takes one thread and about 2 GB.
test: $(INSTALLED)
	$(RUN) -m pytest -n auto --maxprocesses 4 --dist worksteal

# One thread, and as little else on the machine as can be.
bench: $(INSTALLED)
	$(RUN) benchmarks/all.py

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) dist
