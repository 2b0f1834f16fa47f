#!/usr/bin/env bash
# Used by slurm_train.sh and slurm_test.sh: run TOOL PARTITION JOB_NAME [arguments of the tool] with srun.
set -euo pipefail
tool=$1 partition=$2 job=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
. "$here/python_of_project.sh"

tasks=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
gpus=()
if [ "$per_node" -gt 0 ]; then
    if [ "$tasks" -lt "$per_node" ]; then per_node=$tasks; fi
    gpus=(--gres="gpu:$per_node" --ntasks-per-node="$per_node")
fi
# shellcheck disable=SC2086  # SRUN_ARGS holds several words
exec srun -p "$partition" --job-name="$job" --ntasks="$tasks" ${gpus[@]+"${gpus[@]}"} \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "$python" -u "$here/$tool.py" "$@" --launcher slurm
