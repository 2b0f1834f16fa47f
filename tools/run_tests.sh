#!/usr/bin/env bash
# Lint and test: the environment of tools/setup_env.sh, then ruff and pytest.
#
#   bash tools/run_tests.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(bash tools/setup_env.sh)
"$python" -m ruff check .
"$python" -m ruff format --check .
exec "$python" -m pytest "$@"
