#!/usr/bin/env bash
# Digits near convergence: 10,000 updates, five seeds, the best cold flow also trained twice as long (20,000). Dropout in every arm
# alike: without it cold and warm both begin to copy the 997 training images (runs/LOG.md). About 30 minutes on two cores.
set -euo pipefail
out="${1:-out-digits-convergence}"
warmflow compare images.digits --updates 10000 --dropout 0.25 --rounds 200 --steps 1,2,3,4,8 --seeds 5 --convergence --out "$out"
python runs/facts.py "$out"
