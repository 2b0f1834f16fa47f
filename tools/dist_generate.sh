#!/usr/bin/env bash
# Generate with several processes: bash tools/dist_generate.sh CONFIG CHECKPOINT PROCESSES [options of generate.py]
# On several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -eu
if [ $# -lt 3 ]; then
    echo "usage: bash tools/dist_generate.sh CONFIG CHECKPOINT PROCESSES [options of generate.py]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
. "$here/python_of_project.sh"
config=$1 checkpoint=$2 processes=$3
shift 3
exec "$python" "$here/dist_run.py" generate "$config" "$processes" "$checkpoint" "$@"
