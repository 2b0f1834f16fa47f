#!/usr/bin/env bash
# Train under Slurm: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# Environment: GPUS (8), GPUS_PER_NODE (8; 0 without GPUs), CPUS_PER_TASK (5), SIGNAL_SECONDS (120: save so long before
# the time limit) and SRUN_ARGS. A preempted training goes on by itself.
if [ $# -lt 4 ]; then
    echo "usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
exec bash "$(dirname "$0")/slurm_run.sh" train "$partition" "$job" "$config" --work-dir "$work_dir" "$@"
