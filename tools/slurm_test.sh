#!/usr/bin/env bash
# Test under Slurm: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# Environment: GPUS (8), GPUS_PER_NODE (8; 0 without GPUs), CPUS_PER_TASK (5) and SRUN_ARGS.
if [ $# -lt 4 ]; then
    echo "usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]" >&2
    exit 2
fi
exec bash "$(dirname "$0")/slurm_run.sh" test "$@"
