#!/bin/sh
# What is left of the rate on Fashion-MNIST when both flows are trained three times as long: one seed, warm and cold with minibatch
# pairs. One seed certifies nothing: read the table. About two hours on one core. From the repository's root: sh runs/longer.sh [OUT]
set -eu
out="${1:-runs/out/longer}"
for method in warm-start cold-minibatch; do
  warmflow train fashion-mnist --method "$method" --updates 9000 --dtype bfloat16 --out "$out-$method"
done
warmflow compare "$out-warm-start" "$out-cold-minibatch" --out "$out"
