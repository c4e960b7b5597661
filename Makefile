# make demo    AVAE, built from nothing: samples and reconstructions in runs/avae
# make setup   .venv with zoo, its plugins and the tools that test it
# make test    every test
# make check   ruff, mypy and the architecture
# make bench   the benchmarks
# make results the table and the pictures of docs/results.md: 40 minutes if started twice on 2 cores
# make sweep-timm   every model of timm as an encoder and as a critic, without memory: tens of minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An editable install knows the packages that were there when it was made: another set, another install.
PACKAGES := $(shell ls -d plugins/zoo_*/ | cksum | cut -d ' ' -f 1)
USER_STAMP := $(VENV)/.installed-$(PACKAGES)
DEV_STAMP := $(VENV)/.installed-dev-$(PACKAGES)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test check bench results sweep-timm

setup: $(DEV_STAMP)

demo: $(USER_STAMP)
	$(BIN)/zoo build avae.yaml

test: $(DEV_STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_architecture.py

bench: $(DEV_STAMP)
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only --benchmark-columns=median,iqr,rounds

# Stopped, it goes on with the same command.
results: $(DEV_STAMP)
	$(BIN)/zoo compare docs/results.yaml --out runs/results --to runs/results/table.md
	cp runs/results/table.md runs/results/*.png docs/results

sweep-timm: $(DEV_STAMP)
	$(BIN)/python tests/sweep_timm.py --size native
	$(BIN)/python tests/sweep_timm.py --size 32

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(USER_STAMP): pyproject.toml | $(BIN)/python
	@echo "installing zoo and PyTorch into $(VENV): some minutes and gigabytes, once"
	$(PIP) --editable .
	touch $@

$(DEV_STAMP): pyproject.toml | $(BIN)/python
	@echo "installing zoo, PyTorch and the tools of the tests into $(VENV): some minutes and gigabytes, once"
	$(PIP) --editable '.[dev]'
	touch $(USER_STAMP) $@
