#!/bin/sh
# Super-resolution x4 on Fashion-MNIST, three seeds: warm from a regression beside the conditional cold flow.
# From the repository's root: sh runs/super_resolution.sh [OUT]
exec warmflow compare images.super_resolution --seeds 3 --updates 1500 --samples 2000 --steps 1,2,4,8,16 --dtype bfloat16 \
  --out "${1:-runs/out/super_resolution}"
