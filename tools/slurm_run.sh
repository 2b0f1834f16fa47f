#!/usr/bin/env bash
# Used by slurm_train.sh and slurm_test.sh: run TOOL PARTITION JOB_NAME [arguments of the tool] with srun.
#
# A training that was preempted ends with status 75 and is started again with --resume. Inside a batch job that is
# done by Slurm (scontrol requeue), otherwise here.
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
resume=() told=0
if [ "$tool" = train ]; then
    gpus+=(--signal="USR1@${SIGNAL_SECONDS:-120}")
    if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then resume=(--resume); fi
fi

while true; do
    # shellcheck disable=SC2086  # SRUN_ARGS holds several words
    srun -p "$partition" --job-name="$job" --ntasks="$tasks" ${gpus[@]+"${gpus[@]}"} \
        --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
        "$python" -u "$here/$tool.py" "$@" ${resume[@]+"${resume[@]}"} --launcher slurm &
    srun=$!
    # Passed on to srun, and by srun to all processes.
    trap 'told=1; kill -USR1 $srun || true' TERM USR1
    trap 'kill -INT $srun || true' INT
    status=0
    wait $srun || status=$?
    while kill -0 $srun 2>/dev/null; do  # a signal ended the wait
        status=0
        wait $srun || status=$?
    done
    if [ "$tool" != train ] || [ "$status" -ne 75 ]; then exit "$status"; fi
    resume=(--resume)
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        scontrol requeue "$SLURM_JOB_ID" || exit "$status"
        exit 0
    fi
    if [ "$told" = 1 ]; then exit "$status"; fi
done
