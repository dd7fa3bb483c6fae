#!/bin/sh
# Digits from a learned prior, five seeds, beside cold flows, the warm one, and LeDiFlow from the mean alone.
# About forty minutes on two cores. Result: ${1:-runs/out/lediflow}/report.html
exec warmflow compare lediflow.digits --steps 1,2,4,5,8,16,32 --seeds 5 --samples 2000 --out "${1:-runs/out/lediflow}"
