#!/usr/bin/env bash
# Digits at equal, small training: 3,000 updates, five seeds. Five to twelve minutes on two cores.
set -euo pipefail
out="${1:-out-digits}"
warmflow compare images.digits --steps 1,2,3,4,8 --seeds 5 --out "$out"
python runs/facts.py "$out"
