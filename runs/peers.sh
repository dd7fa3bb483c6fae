#!/bin/sh
# The same U-Net trained by our flows, torchcfm's and flow_matching's, 1,000 updates each, three seeds; a warm flow of as many is the
# candidate, and every other flow a baseline. pip install "warmflow[peers]"; about four hours on one core (training 24 x 170 s, rows
# 24 x 176 calls x 2,000 x .7 ms, choices and timing a quarter of an hour). From the repository's root: sh runs/peers.sh [OUT]
set -eu
out="${1:-runs/out/peers}"
for seed in 0 1 2; do
  warmflow train images.fashion --arm warm --updates 1000 --seed "$seed" --out "$out-warm-$seed"
done
python benchmarks/peers.py quality --out "$out" --updates 1000 --samples 2000 --seeds 0 1 2 --warm "$out-warm-0" "$out-warm-1" "$out-warm-2"
