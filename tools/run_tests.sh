#!/usr/bin/env bash
# Run ruff and pytest in the environment of tools/setup_env.sh. pytest uses two processes with one
# thread each.
#
#   bash tools/run_tests.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(bash tools/setup_env.sh)
"$python" -m ruff check .
"$python" -m ruff format --check .
# Compiled modules must be kept: many tests start processes, and each would compile OpenMMLab again.
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
exec "$python" -m pytest --numprocesses 2 --dist loadfile "$@"
