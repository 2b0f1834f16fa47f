#!/usr/bin/env bash
# Lint and test: the environment of tools/setup_env.sh, then ruff and pytest, in two processes of one
# thread each.
#
#   bash tools/run_tests.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(bash tools/setup_env.sh)
"$python" -m ruff check .
"$python" -m ruff format --check .
export OMP_NUM_THREADS=1
exec "$python" -m pytest --numprocesses 2 --dist loadfile "$@"
