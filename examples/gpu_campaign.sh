#!/usr/bin/env bash
# Tables 3, 5 and 4 with the budget `miniature` at 128x128 on one GPU, for as long as there is time:
#   examples/gpu_campaign.sh OUT MINUTES [FLAG...]
# Seed after seed and the surest table first, so that whatever was stopped is useful; started again
# with the same OUT it goes on. Needs the extra `features`. FLAGs are those of run_benchmark.py;
# TABLES names others.
set -euo pipefail
out=$1
ends=$(($(date +%s) + 60 * $2))
shift 2
read -ra tables <<< "${TABLES:-3 5 4}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for table in "${tables[@]}"; do
  left=$((ends - $(date +%s)))
  [ "$left" -gt 0 ] || break
  # SIGINT lets every training keep its state.
  timeout --signal=INT --kill-after=30 "$left" python run_benchmark.py --budget miniature --size 128 \
    --device cuda --table "$table" --seeds 3 --jobs 4 --save-images 16 --out "$out" "$@" || break
done
for table in "${tables[@]}"; do
  python -m spade_eval report "$out"/*-seed* --table "$table" --out "$out/table$table" || true
done
