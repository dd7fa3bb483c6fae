#!/usr/bin/env bash
# Digits at equal, small training: 3,000 updates, five seeds, every method at the whole grid of calls; then a draft that never saw
# three classes, paired with its nearest samples and assigned. Ten to twenty minutes on two cores.
set -euo pipefail
out="${1:-runs/out/digits}"
warmflow compare digits --seeds 5 --jobs 2 --out "$out"
python runs/facts.py "$out"
for pairing in nearest-data whole-set; do
  python runs/beside.py "$out" "$out-missing-$pairing" --without 0,1,2 --pairing "$pairing" --jobs 2
done
