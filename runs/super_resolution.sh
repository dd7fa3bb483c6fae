#!/bin/sh
# Super-resolution x4 on Fashion-MNIST, three seeds: warm from a regression beside the conditional cold flow.
# About an hour on two cores. From the repository's root: sh runs/super_resolution.sh [OUT]
exec warmflow compare images.super_resolution --seeds 3 --updates 1500 --samples 2000 --dtype bfloat16 --out "${1:-runs/out/super_resolution}"
