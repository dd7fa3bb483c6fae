#!/bin/sh
# What is left of the rate on Fashion-MNIST when both flows are trained three times as long: one seed, warm and cold with minibatch
# pairs. One seed certifies nothing: read the table. About two hours on one core. From the repository's root: sh runs/longer.sh [OUT]
set -eu
out="${1:-runs/out/longer}"
for flow in warm cold_assigned; do
  warmflow train images.fashion --arm "$flow" --updates 9000 --dtype bfloat16 --out "$out-$flow"
done
warmflow compare "$out-warm" "$out-cold_assigned" --out "$out"
