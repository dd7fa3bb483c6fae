#!/bin/sh
# What is left of the factor on Fashion-MNIST when both flows are trained three times as long: one seed, warm and cold assigned.
# About an hour and a quarter on one core. From the repository's root: sh runs/longer.sh [OUT]
set -eu
out="${1:-runs/out/longer}"
for arm in warm cold_assigned; do
  warmflow train images.fashion --arm "$arm" --updates 9000 --dtype bfloat16 --out "$out-$arm"
done
warmflow compare "$out-warm" "$out-cold_assigned" --steps 1,2,3,4,8,16,32 --out "$out"
