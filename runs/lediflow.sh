#!/bin/sh
# Digits from a learned prior, five seeds, beside cold flows, the warm one, and LeDiFlow from the mean alone.
# About twenty minutes on two cores; runs/LOG.md has --kl 5e-3, --dropout 0 and 0.1 too (0.2 is the recipe's). Result: ${1:-runs/out/lediflow}/report.html
exec warmflow compare lediflow.digits --seeds 5 --samples 2000 --out "${1:-runs/out/lediflow}"
