# make demo    AVAE on sprites, built from nothing: samples and reconstructions in runs/avae
# make setup   .venv with zoo, its plugins and the tools that test it
# make test    every test
# make check   ruff, mypy and the architecture
# make coverage  branches of recipe, registry and state code that their tests miss: none, or it fails
# make mutation  SAMPLE mutants of the same, to be noticed by those tests: a quarter of an hour
# make bench   the benchmarks, into docs/benchmarks.md: 5 minutes on a CPU; BENCHMARKS=FILE for those of one file
# make gpu     what a GPU can tell within MINUTES (8), in the order of worth; needs no network. make gpu-kit: what it lacks
# make reliability  every promise of docs/reliability.md tried, and that page written
# make soak    2,000 kills, and half an hour of kills under pressure of memory and disk
# make results the table and the pictures of docs/results.md: an estimated hour and a half if started twice on 2 idle cores
# make docs    the site into docs/_build/html, its tutorials run
# make gallery a page and pictures of each system into docs/gallery
# make sweep-timm   every model of timm as an encoder and as a critic, without memory: tens of minutes
# make release sdist and wheel into dist/, tried in a fresh environment outside the clone
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An editable install knows the packages that were there when it was made: another set, another install.
PACKAGES := $(shell ls -d plugins/zoo_*/ | cksum | cut -d ' ' -f 1)
USER_STAMP := $(VENV)/.installed-$(PACKAGES)
DEV_STAMP := $(VENV)/.installed-dev-$(PACKAGES)
# Of 13,000 files of packages 3,500 are ever imported: what is compiled then is kept, for all processes of the tests.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE

# What recipe, registry and state code are tested by.
COVERING := tests/recipe tests/registry tests/runs
COVERING += tests/data/test_without.py tests/cli/test_run_as_recipe.py tests/metrics/test_evaluate.py tests/test_python_training.py
COVERING += $(addprefix tests/training/test_,begins.py epochs.py extend.py) tests/test_fields.py tests/test_stages.py
COVERING += $(addprefix tests/plugins/test_,diffusers.py folder_fields.py data_huggingface.py sizes.py export_hub.py)

.PHONY: setup demo test check coverage mutation bench gpu gpu-kit results reliability soak docs gallery release sweep-timm

setup: $(DEV_STAMP)

demo: $(USER_STAMP)
	$(BIN)/zoo build avae.yaml --set 'data={use: sprites, size: 32, ground: plain}'

test: $(DEV_STAMP)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

check: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_architecture.py

coverage: $(DEV_STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --quiet --numprocesses auto --maxprocesses 8 --dist worksteal $(COVERING)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# So many of 8,800 mutants, drawn by their names; SAMPLE=0 for all of them: hours.
SAMPLE ?= 640

mutation: $(DEV_STAMP)
	$(PIP) --editable '.[dev,mutation]'
	$(BIN)/python tests/mutation/run.py --sample $(SAMPLE)

BENCHMARKS ?= tests/benchmarks

bench: $(DEV_STAMP)
	@mkdir -p .benchmarks && rm -f .benchmarks/suite.json .benchmarks/paired.json
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(BENCHMARKS) --benchmark-enable --benchmark-columns=median,iqr,rounds \
		--benchmark-json=.benchmarks/suite.json -W 'ignore:Not saving anything'; status=$$?; $(BIN)/python tests/benchmarks/report.py; exit $$status

MINUTES ?= 8

gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tests/gpu/run.py --minutes $(MINUTES) $(if $(TOY),--toy)

gpu-kit: | $(BIN)/python
	$(BIN)/python tests/gpu/kit.py

reliability: $(DEV_STAMP)
	$(BIN)/python tests/reliability.py --numprocesses auto --maxprocesses 8 --dist worksteal

soak: $(DEV_STAMP)
	ZOO_KILLS=2000 $(BIN)/python -m pytest tests/faults/test_kills.py
	$(BIN)/python tests/soak.py --minutes 30

# Stopped, it goes on with the same command.
results: $(DEV_STAMP)
	$(BIN)/zoo compare docs/results.yaml --out runs/results --to runs/results/table.md
	cp runs/results/table.md runs/results/*.png docs/results

docs: $(DEV_STAMP)
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python -m sphinx --fail-on-warning --keep-going -q docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Stopped, it goes on with the same command; SYSTEMS="vae gan" for some.
gallery: $(DEV_STAMP)
	$(BIN)/python tests/gallery.py $(SYSTEMS)

release: $(DEV_STAMP)
	$(PIP) build twine
	$(BIN)/python tests/release.py

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
