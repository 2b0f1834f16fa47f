#!/usr/bin/env bash
# Train with several processes: bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]
# On several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/python_of_project.sh"
exec "$python" "$here/dist_run.py" train "$@"
