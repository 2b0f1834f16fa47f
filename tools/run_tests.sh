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
# Once in some thousand tests of a long process, Python finds a pipe closed right after it has made
# it, as a data loader forks. Such a test runs a second time, which the summary tells as RERUN.
exec "$python" -m pytest --numprocesses 2 --dist loadfile \
    --reruns 1 --only-rerun 'Bad file descriptor' "$@"
