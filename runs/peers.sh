#!/bin/sh
# The same U-Net trained by our flows, torchcfm's and flow_matching's, 1,000 updates each, one seed; a warm flow of as many beside.
# pip install "warmflow[peers]"; about an hour and a half on one core. From the repository's root: sh runs/peers.sh [OUT]
set -eu
out="${1:-runs/out/peers}"
warmflow train images.fashion --arm warm --updates 1000 --out "$out-warm"
python benchmarks/peers.py quality --out "$out" --updates 1000 --samples 2000 --warm "$out-warm" \
  --solvers euler adams-bashforth midpoint dopri5
