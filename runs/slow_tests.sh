#!/bin/sh
# What takes minutes: slow tests, mutants of the source, commands ended by signals at twenty moments of each stage.
# From the repository's root: sh runs/slow_tests.sh
set -eu
export OMP_NUM_THREADS=1 PYTHONPATH="$PWD/src"
python -m pytest -m slow || [ $? -eq 5 ]  # 5: no test is marked slow
python tests/mutations.py
python runs/kill.py
