"""Run a tool with torchrun. On failure, print the message of the first failed process.

Used by dist_train.sh and dist_test.sh: python tools/dist_run.py TOOL CONFIG PROCESSES [options].
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


def torchrun_arguments(tool: str, config: str, processes: str, options: list[str]) -> list[str]:
    """torchrun's arguments. Reads NNODES, NODE_RANK, MASTER_ADDR and PORT from the environment."""
    nodes = os.environ.get('NNODES', '1')
    port = os.environ.get('PORT') or (free_port() if nodes == '1' else 29500)
    return [
        f'--nnodes={nodes}',
        f'--node_rank={os.environ.get("NODE_RANK", "0")}',
        f'--master_addr={os.environ.get("MASTER_ADDR", "127.0.0.1")}',
        f'--master_port={port}',
        f'--nproc_per_node={processes}',
        str(Path(__file__).with_name(f'{tool}.py')),
        config,
        *options,
        '--launcher',
        'pytorch',
    ]


def main() -> None:
    """Run the tool in each process."""
    if len(sys.argv) < 4 or not sys.argv[3].isdigit():
        sys.exit(f'usage: bash tools/dist_{sys.argv[1]}.sh CONFIG ... PROCESSES [options]')
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    tool, config, processes, *options = sys.argv[1:]
    # torchrun passes SIGTERM on to its processes, but not this one.
    signal.signal(signal.SIGUSR1, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    try:
        torchrun.main(torchrun_arguments(tool, config, processes, options))
    except SignalException as error:
        preempted = tool == 'train' and error.sigval == signal.SIGTERM
        sys.exit(os.EX_TEMPFAIL if preempted else 128 + error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == os.EX_TEMPFAIL:  # preempted
            sys.exit(failure.exitcode)
        told = isinstance(failure.message, str) and os.path.isfile(failure.error_file)
        message = failure.message if told else f'exit status {failure.exitcode}; see above'
        sys.exit(f'error: process {rank}: {message}')


if __name__ == '__main__':
    main()
