#!/bin/sh
# The same U-Net trained by our flows, torchcfm's and flow_matching's, 1,000 updates each, three seeds; a warm flow of as many is the
# candidate, and every other flow a baseline. pip install "warmflow[peers]"; about six hours on one core (three hours on two:
# give --seeds apart first, then all: trained flows are kept). From the repository's root: sh runs/peers.sh [OUT]
set -eu
out="${1:-runs/out/peers}"
for seed in 0 1 2; do
  warmflow train images.fashion --arm warm --updates 1000 --seed "$seed" --out "$out-warm-$seed"
done
python benchmarks/peers.py quality --out "$out" --updates 1000 --samples 2000 --seeds 0 1 2 --warm "$out-warm-0" "$out-warm-1" "$out-warm-2"
