#!/usr/bin/env bash
# Every comparison of README's table under version 2 of the verdict, one after another, on two cores with one thread a process.
# About seven hours in all; each resumes where it was cut off, and a finished one is judged again from its study.
# From the repository's root: bash runs/claims.sh [OUT] [NAME ...]       NAME: digits moons grid text students lediflow restoration fashion
#
# Minutes by arithmetic from runs/LOG.md (two processes; twice that beside two others). The grid of calls sums to 176 calls a
# sample, so a row set costs 176 calls x samples; the choice of the solver costs about 100 more on a quarter of the samples.
set -euo pipefail
out="${1:-runs/out/claims}"
shift || true
export OMP_NUM_THREADS=1
mkdir -p "$out"

digits() {  # 15: 25 flows x 25 s / 2 = 5; draft and two pairings a seed 4; 25 flows x 176 x 2,000 x 11 us / 2 = 1; metrics, timing 5
  warmflow compare images.digits --seeds 5 --jobs 2 --out "$out/digits"
}
moons() {  # 60: three grades; pairing 32 blocks of 2,500, draft and noise, (33 + 54 + 118 + 3 x 118) s x 5 seeds / 2 = 23; training 25; rows 12
  python runs/moons.py "$out/moons" 5
}
grid() {  # 45: three grades; 30 for three flows and 1,500 updates, now four flows and pairs of each seed
  python runs/grid.py "$out/grid" 5
}
text() {  # 10: the embedded prose, 600 updates, three flows x three seeds; warmflow demo text took 9 beside another process
  warmflow compare text.characters --seeds 3 --updates 600 --jobs 2 --out "$out/text"
}
students() {  # 25: 10 teachers x 25 s and 10 students x 80 s, / 2 = 9; reflows 6; two comparisons 10
  python runs/distil.py "$out/students" images.digits cold,warm 5 -- --updates 2000 --no-report
}
lediflow() {  # 25: 35 flows x 28 s / 2 = 8; priors 29 s x 5 / 2 = 1; pairs 4; rows 35 x 176 x 2,000 x 14 us / 2 = 1; metrics, timing 8
  warmflow compare lediflow.digits --seeds 5 --jobs 2 --out "$out/lediflow"
}
restoration() {  # 65: 9 flows x 280 s / 2 = 21; 3 regressions x 190 s / 2 = 5; rows 9 x 176 x (2,000 + draws) x .55 ms / 2 = 25; choices 6; timing 5
  warmflow compare images.super_resolution --seeds 3 --updates 1500 --samples 2000 --dtype bfloat16 --jobs 2 --out "$out/restoration"
}
fashion() {  # 140: 15 flows x 560 s / 2 = 70; drafts and pairs 3; rows 15 x 176 x 5,000 x .41 ms / 2 = 45; choices 14; timing 4
  warmflow compare images.fashion --seeds 3 --samples 5000 --dtype bfloat16 --jobs 2 --out "$out/fashion"
}

for name in "${@:-all}"; do
  if [ "$name" = all ]; then
    for each in digits moons grid text students lediflow restoration fashion; do "$each"; done
  else
    "$name"
  fi
done
for folder in "$out"/*/ "$out"/moons/*/ "$out"/grid/*/ "$out"/students/{cold,warm}/; do
  if [ -f "$folder/verdict.json" ]; then echo "== $folder"; python runs/facts.py "$folder" | head -3; fi
done
