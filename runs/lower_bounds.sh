#!/usr/bin/env bash
# Tests warmflow with the lowest version of each dependency that pyproject.toml allows, in a new virtual environment.
#
#   runs/lower_bounds.sh [FOLDER [PYTEST ARGUMENTS...]]
#
# FOLDER receives the environment (default: a temporary folder). Packages come from the index that pip is configured with; the
# dependencies of the dependencies are as new as they allow, except pyarrow: newer versions need numpy 2 and do not declare it.
# Without arguments for pytest, the quick tests and all of tests/security run. Exit code 0 says that the lower bounds hold.
set -euo pipefail
cd "$(dirname "$0")/.."
place=${1:-$(mktemp -d)}
shift || true
python=${PYTHON:-python3}
mkdir -p "$place"
[ -x "$place/venv/bin/python" ] || "$python" -m venv "$place/venv"
"$place/venv/bin/python" runs/lower_bounds.py > "$place/pins.txt"
cat "$place/pins.txt"
"$place/venv/bin/pip" install --quiet --requirement "$place/pins.txt" "pyarrow<25" "pytest>=8" "pytest-xdist>=3" "hypothesis>=6"
export PYTHONPATH="$PWD/src" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
test() { "$place/venv/bin/python" -m pytest -q -p no:cacheprovider "$@"; }
if [ $# -gt 0 ]; then test "$@"; else test -m "not slow and not long" && test -m "not slow" tests/security; fi
