#!/bin/sh
# CIFAR-10 end to end: the cold flows, warm, LeDiFlow and its mean at 300 updates on a CPU, for the path and not the quality.
# With --updates 50000 --dtype bfloat16 --preset small --device cuda it is the comparison for a GPU (50,000 images, seven flows).
# From the repository's root: sh runs/cifar10.sh [OUT]
set -eu
out="${1:-runs/out/cifar10}"
warmflow compare lediflow.cifar10 --updates 300 --auxiliary-updates 1000 --latent-updates 1000 --seeds 1 --samples 400 --most 5000 \
  --dtype bfloat16 --calls 1,2,4,8,20 --out "$out"
