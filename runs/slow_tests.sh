#!/bin/sh
# What takes minutes: slow tests (3,000 mutated files among them), mutants of the source, a training run killed at twenty random moments.
# From the repository's root: sh runs/slow_tests.sh
set -eu
export OMP_NUM_THREADS=1 PYTHONPATH="$PWD/src"
python -m pytest -m slow || [ $? -eq 5 ]  # 5: no test is marked slow
python tests/mutations.py
python runs/kill.py 20
