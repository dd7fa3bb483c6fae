#!/usr/bin/env bash
# Digits near convergence: 10,000 updates, five seeds, the best baseline also trained twice as long (20,000). Dropout in every flow
# alike: without it cold and warm both begin to copy the 997 training images (runs/LOG.md). About an hour on two cores.
set -euo pipefail
out="${1:-runs/out/digits-convergence}"
warmflow compare images.digits --updates 10000 --dropout 0.25 --rounds 200 --seeds 5 --convergence --out "$out"
python runs/facts.py "$out"
