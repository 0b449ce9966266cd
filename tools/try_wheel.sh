#!/usr/bin/env bash
# Install a wheel in an empty environment, away from the checkout, and walk the pipeline with it: recipes are found, a few
# steps train, and the model that ships answers on a map. Usage: tools/try_wheel.sh dist/agrilape-*.whl
set -euo pipefail
wheel=$(realpath "$1")
constraints=$(realpath "$(dirname "$0")/../constraints.txt")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PYTHONPATH

"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q -c "$constraints" "$wheel"
export PATH="$place/venv/bin:$PATH"

agrilape --version
agrilape quickstart --output run \
  --set stages.align.steps=2 --set stages.lape_warmup.steps=2 --set stages.domain.steps=2 \
  --set datasets.single_date.source.scenes=6 --set datasets.time_series.source.scenes=6
test -s run/report.html
agrilape simulate scenes --size 256 --dates 1
agrilape predict scenes/*/*.tif "where are the fields?" -o fields.geojson
test -s fields.geojson
echo "the wheel works: $(basename "$wheel")"
