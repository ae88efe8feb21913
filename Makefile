# Front door of the project. One graph, in the Snakefile; this file only prepares the environment and passes names on.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup test reproduce sweep report plan method test-slurm test-gpu docs test-site clean

PYTHON ?= python3
PROFILE ?= quick
PAIRS ?=
METHODS ?=
SEEDS ?=
NAME ?=
NEW ?=
RESULTS ?= results/local
EXECUTOR ?= local
CORES ?= $(shell env -u OMP_NUM_THREADS nproc)
BIN := .venv/bin
# A profile of one's own is the path of its file; its results lie under the file's name.
WORK := results/local/$(basename $(notdir $(PROFILE)))
export OMP_NUM_THREADS ?= 1
export PYTHONDONTWRITEBYTECODE ?= 1

# A mistyped name or value ends here, before anything is written; names that other programs read pass.
KNOWN := PYTHON PROFILE PAIRS METHODS SEEDS RESULTS EXECUTOR CORES NAME NEW STALE SLURM_OPTIONS SHELL TMPDIR \
  ICCKD_% OMP_% MKL_% PYTHON% MPL% TORCH% CUDA_% NCCL_% SLURM_% SBATCH_% SNAKEMAKE_% JUPYTER_% PIP_% XDG_% LC_% MAKE%
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(filter-out $(KNOWN),$(GIVEN)),$(error $(name): no such variable; wanted PROFILE, PAIRS, METHODS, SEEDS, RESULTS, EXECUTOR, CORES, STALE, SLURM_OPTIONS or PYTHON))
one_of = $(if $(and $(filter 1,$(words $($(1)))),$(filter $(2),$($(1)))),,$(error $(1): wanted one of $(2), got '$($(1))'))
check = $(if $(filter %.toml,$(PROFILE)),,$(call one_of,PROFILE,smoke quick short paper))$(call one_of,EXECUTOR,local slurm)

help:
	@echo "make setup                 environment in .venv (does nothing when up to date)"
	@echo "make reproduce             train what is missing, then tables, figures and the five reports (PROFILE=smoke|quick|short|paper|path/to/mine.toml,"
	@echo "                           PAIRS=, METHODS=, SEEDS=\"0 1 2\" (instead of the profile's), RESULTS=results/local, EXECUTOR=local|slurm, STALE=retrain)"
	@echo "make sweep                 weights by trials on held-out training samples, into RESULTS/PROFILE/sweep (PROFILE=, PAIRS=, METHODS=)"
	@echo "make report                tables and reports from the committed records, nothing is trained (PROFILE=, RESULTS=results)"
	@echo "make plan                  what would run, what is recorded, what it would cost"
	@echo "make test                  everything that CI checks       make test-slurm   the cluster path, on a local Slurm"
	@echo "make method NAME=kd        one method: its tests, two minutes of training beside others, a picture (NEW=1 begins one)"
	@echo "make test-gpu              every criterion on a GPU against the CPU, where there is one"
	@echo "make docs                  the notebooks as a site in _docs (RESULTS=results/local make docs: with this machine's records)"
	@echo "make test-site             checks it: links, search, tables, phone width, contrast (in Chromium where there is one)"
	@echo "make clean                 removes what make made here (never committed results)"

# The environment is up to date when it was made from these very files.
setup:
	@wanted=$$(cat settings.ini setup.py pyproject.toml | sha256sum); \
	if [ "$$(cat .venv/made-from 2>/dev/null)" != "$$wanted" ]; then \
	  set -e; $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "icckd needs Python 3.11 or newer; name one with PYTHON=python3.11")'; \
	  $(PYTHON) -m venv .venv; $(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"; \
	  $(BIN)/python -m ipykernel install --sys-prefix --name python3 > /dev/null 2>&1; \
	  echo "$$wanted" > .venv/made-from; echo "environment made in .venv"; \
	fi

# One batch at a time works on a folder; what it says comes from icckd.runs.batch, and what snakemake says lies in its log.
define batch
PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -c 'from icckd.runs.batch import main; main()' $(WORK) \
	  $(BIN)/python -m snakemake --nolock --cores $(CORES) --keep-going --rerun-incomplete --rerun-triggers software-env \
	  $(if $(filter slurm,$(EXECUTOR)),--executor slurm --jobs 32 --latency-wait 60 $(SLURM_OPTIONS),) \
	  --config profile="$(PROFILE)" pairs="$(PAIRS)" methods="$(METHODS)" seeds="$(SEEDS)" results="$(RESULTS)"
endef

reproduce: setup
	@$(check)$(batch) || exit; \
	$(BIN)/python -c 'from icckd.reporting.reports import main; main()' compare --profile "$(PROFILE)" --results "$(RESULTS)"

sweep: setup
	@$(check)$(batch) sweep=1 || exit; \
	$(BIN)/python -c 'from icckd.runs.sweep import main; main()' --profile "$(PROFILE)" --results "$(RESULTS)"

report: RESULTS = results
report: setup
	@$(check)$(BIN)/python -c 'from icckd.reporting.reports import main; main()' render --profile "$(PROFILE)" --results "$(RESULTS)"

plan: setup
	@$(check)$(BIN)/python -c 'from icckd.runs.plan import main; main()' --profile "$(PROFILE)" --pairs "$(PAIRS)" --methods "$(METHODS)" --seeds "$(SEEDS)" --results "$(RESULTS)"

test: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/run_all.py

test-slurm: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash tests/slurm.sh

test-gpu: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/gpu -q -rs -p no:cacheprovider

method: setup
	@$(if $(NAME),,$(error NAME: wanted a method, such as make method NAME=kd))PATH="$(CURDIR)/$(BIN):$$PATH"; export PATH; \
	nbdev_export && $(BIN)/python -m icckd.runs.method "$(NAME)" $(if $(NEW),--new)

docs: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/build.py

test-site: docs
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/test_site.py -q -rs -p no:cacheprovider

clean:
	rm -rf .venv _proc _docs build dist *.egg-info .snakemake .pytest_cache results/local
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
