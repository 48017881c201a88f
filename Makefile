# Every target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready
THREADS := $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)))" 2>/dev/null || echo 2)

.PHONY: demo test docs datasets acl2 studies kills bench clean help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# A package that was being written when an installation was interrupted counts as installed to pip, and is not whole;
# so after an interruption the environment is made anew.
INSTALLING := $(VENV)/.installing

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("scorecraft needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@if [ -e $(INSTALLING) ]; then echo "the last installation was interrupted; starting over"; rm -rf $(VENV); fi
	$(PYTHON) -m venv $(VENV)
	touch $(INSTALLING)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[lm]'
	touch $@
	rm $(INSTALLING)

$(DEV_READY): $(READY)
	@if [ -e $(INSTALLING) ]; then rm -f $(READY); $(MAKE) $(READY); fi
	touch $(INSTALLING)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable '.[lm,smollm2,reasoning-gym,studies,trackers,verify]'
	touch $@
	rm $(INSTALLING)

demo: $(READY)  ## train the default recipe and write its report
	$(BIN)/scorecraft train default --run runs/demo-$$(date +%Y%m%d-%H%M%S)

test: $(DEV_READY)  ## lint, types, import rules and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python benchmarks/readme_figures.py --check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(THREADS) --dist loadfile

docs: $(DEV_READY)  ## build the site into site/; a broken link or example fails
	mkdir -p build/first-reward
	PATH="$(abspath $(BIN)):$$PATH" NO_COLOR=1 COLUMNS=110 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

datasets:  ## fetch Fashion-MNIST for the studies, from Debian's archive; without it they say what to do
	@if [ -e /usr/share/datasets/fashion-mnist ] || [ -e data/fashion-mnist ]; then echo "Fashion-MNIST is here"; \
	elif ! command -v apt-get >/dev/null; then echo "no apt-get here: the studies say how to go on without"; \
	elif [ "$$(id -u)" = 0 ]; then apt-get install -y -qq dataset-fashion-mnist >/dev/null; \
	else mkdir -p data && cd data && apt-get download -qq dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb unpacked \
		&& mv unpacked/usr/share/datasets/fashion-mnist . && rm -rf unpacked dataset-fashion-mnist_*.deb; fi

acl2:  ## fetch ACL2 from Debian's archive, for a second opinion on peer scores; without it those tests are skipped
	@if [ -e /usr/lib/acl2-8.5dfsg/saved_acl2 ] || [ -e build/acl2/unpacked/usr/lib/acl2-8.5dfsg/saved_acl2 ]; then echo "ACL2 is here"; \
	elif ! command -v apt-get >/dev/null; then echo "no apt-get here: the tests with ACL2 are skipped"; \
	else mkdir -p build/acl2 && cd build/acl2 && apt-get download -qq acl2 && dpkg -x acl2_*.deb unpacked && rm -f acl2_*.deb; fi

studies: $(DEV_READY) datasets  ## run every study in full; one that was stopped goes on, results go to studies/
	@for slug in $$($(BIN)/python -c "from scorecraft.studies.find import study_slugs; print(*study_slugs())"); do echo "== $$slug"; $(BIN)/scorecraft study run $$slug --scale full || exit 1; done

kills: $(DEV_READY)  ## kill and resume a training 200 times, and compare it with one that was not
	$(BIN)/python benchmarks/kills.py

bench: $(DEV_READY)  ## run every benchmark, one after the other; results go to benchmarks/results
	@for file in benchmarks/*.py; do case $$file in *measuring.py|*readme_figures.py|*kills.py) ;; *) echo "== $$file"; $(BIN)/python $$file || exit 1;; esac; done
	$(BIN)/python benchmarks/readme_figures.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
