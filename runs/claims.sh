#!/usr/bin/env bash
# Every comparison of README's table, one after another, on two cores with one thread a process. About eight hours in all; each
# goes on where it was cut off, and a finished one is judged again from its study.
# From the repository's root: bash runs/claims.sh [OUT] [NAME ...]
#   NAME: digits moons grid text students learned-prior restoration fashion; asked for by name alone: convergence cifar10
#
# Minutes by arithmetic from runs/LOG.md (two processes; twice that beside two others). The grid of calls sums to 176 calls a
# sample, so a set of rows costs 176 calls x samples; the choice of the solver costs about 100 more on a quarter of the samples.
set -euo pipefail
out="${1:-runs/out/claims}"
shift || true
export OMP_NUM_THREADS=1
mkdir -p "$out"

digits() {  # 15: 25 flows x 25 s / 2 = 5; draft and two pairings a seed 4; 25 flows x 176 x 2,000 x 11 us / 2 = 1; metrics, timing 5
  warmflow compare digits --seeds 5 --jobs 2 --out "$out/digits"
}
moons() {  # 60: three drafts; pairing 32 blocks of 2,500, draft and noise, (33 + 54 + 118 + 3 x 118) s x 5 seeds / 2 = 23; training 25; rows 12
  python runs/moons.py "$out/moons" 5
}
grid() {  # 45: three drafts; 30 for three flows and 1,500 updates, now four flows and pairs of each seed
  python runs/grid.py "$out/grid" 5
}
text() {  # 10: the embedded prose, 600 updates, three flows x three seeds; warmflow demo text took 9 beside another process
  warmflow compare text --seeds 3 --updates 600 --jobs 2 --out "$out/text"
}
students() {  # 25: 10 teachers x 25 s and 10 students x 80 s, / 2 = 9; reflows 6; two comparisons 10
  for teacher in cold warm-start; do
    warmflow compare digits --methods "distillation,reflow,$teacher" --distillation.teacher "$teacher" --reflow.teacher "$teacher" \
      --seeds 5 --jobs 2 --out "$out/students/$teacher"
  done
}
learned-prior() {  # 25: 35 flows x 28 s / 2 = 8; priors 29 s x 5 / 2 = 1; pairs 4; rows 35 x 176 x 2,000 x 14 us / 2 = 1; metrics, timing 8
  warmflow compare digits --methods learned-prior,warm-start --dropout 0.2 --seeds 5 --jobs 2 --out "$out/learned-prior"
}
restoration() {  # 65: 9 flows x 280 s / 2 = 21; 3 regressions x 190 s / 2 = 5; rows 9 x 176 x (2,000 + draws) x .55 ms / 2 = 25; choices 6; timing 5
  warmflow compare super-resolution --seeds 3 --updates 1500 --samples 2000 --dtype bfloat16 --jobs 2 --out "$out/restoration"
}
fashion() {  # 140: 15 flows x 560 s / 2 = 70; drafts and pairs 3; rows 15 x 176 x 5,000 x .41 ms / 2 = 45; choices 14; timing 4
  warmflow compare fashion-mnist --seeds 3 --samples 5000 --dtype bfloat16 --jobs 2 --out "$out/fashion"
}
convergence() {  # 60: digits, 10,000 updates, the best baseline also 20,000. Without dropout all flows begin to copy the 997 images (runs/LOG.md)
  warmflow compare digits --updates 10000 --dropout 0.25 --warm-start.rounds 200 --seeds 5 --convergence --jobs 2 --out "$out/convergence"
}
cifar10() {  # the path and not the quality; for a GPU: --updates 50000 --preset small --device cuda, without --most and --calls
  warmflow compare cifar10 --methods warm-start,learned-prior --updates 300 --seeds 1 --samples 400 --most 5000 --dtype bfloat16 \
    --learned-prior.auxiliary-updates 1000 --learned-prior.latent-updates 1000 --calls 1,2,4,8,20 --jobs 2 --out "$out/cifar10"
}

for name in "${@:-all}"; do
  if [ "$name" = all ]; then
    for each in digits moons grid text students learned-prior restoration fashion; do "$each"; done
  else
    "$name"
  fi
done
for folder in "$out"/*/ "$out"/moons/*/ "$out"/grid/*/ "$out"/students/*/; do
  if [ -f "$folder/verdict.json" ]; then echo "== $folder"; python runs/facts.py "$folder" | head -3; fi
done
