"""Several processes on machines without a GPU."""

from __future__ import annotations

import atexit
import gc
import os
import subprocess
from datetime import timedelta

import torch.distributed as torch_dist
from mmengine.device import get_device
from mmengine.dist import init_dist

from mmaddp.utils import UserError

# The main process measures a whole folder of images alone while the others wait.
_HOURS_OF_WAITING = 24

_LAUNCHER_VARIABLES = {
    'pytorch': {'RANK': 'RANK', 'WORLD_SIZE': 'WORLD_SIZE', 'LOCAL_RANK': 'LOCAL_RANK'},
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}


def join_processes(launcher: str) -> None:
    """Make a tool's process one of those that the launcher has started.

    They may wait for each other for hours, unlike those of a training.

    Args:
        launcher: 'pytorch', 'slurm' or 'mpi'; 'none' for a process alone.

    Raises:
        UserError: The launcher's variables are not in the environment.
    """
    if launcher == 'none':
        return
    timeout = _HOURS_OF_WAITING * 3600
    if get_device() == 'cpu':
        init_cpu_process_group(launcher, timeout)
    else:
        init_dist(launcher, timeout=timeout)


def init_cpu_process_group(launcher: str, timeout: float | None = None) -> None:
    """Join a gloo process group with what the launcher left in the environment.

    MMEngine's own way picks a CUDA device first and fails where there is none.

    Args:
        launcher: 'pytorch' (torchrun), 'slurm' or 'mpi'.
        timeout: Seconds that a collective may take; torch's default when None.

    Raises:
        UserError: The launcher's variables are not in the environment.
    """
    read_launcher(launcher)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host() if launcher == 'slurm' else '127.0.0.1'
    limit = {} if timeout is None else {'timeout': timedelta(seconds=timeout)}
    torch_dist.init_process_group(backend='gloo', **limit)
    # At exit, Python would abort now and then on threads of a group that is still there.
    atexit.register(leave_process_group)


def leave_process_group() -> None:
    """Destroy the process group, if there is one."""
    if torch_dist.is_initialized():
        # A runner and its wrapped model refer to each other. While they live, so do the threads.
        gc.collect()
        torch_dist.destroy_process_group()


def read_launcher(launcher: str) -> tuple[int, int]:
    """Rank and number of processes, also put where torch looks for them.

    Args:
        launcher: As above.

    Raises:
        UserError: The launcher's variables are not in the environment.
    """
    for name, variable in _LAUNCHER_VARIABLES[launcher].items():
        if variable not in os.environ:
            raise UserError(
                f'--launcher {launcher} needs {variable} in the environment: start the tool with '
                'tools/dist_train.sh, tools/slurm_train.sh or mpirun'
            )
        os.environ[name] = os.environ[variable]
    return int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])


def _first_slurm_host() -> str:
    nodes = os.environ['SLURM_NODELIST']
    command = ['scontrol', 'show', 'hostnames', nodes]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]
