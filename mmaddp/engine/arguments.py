"""Arguments that tools share. Importing this does not import PyTorch, so that --help is fast."""

from __future__ import annotations

import argparse

from mmengine.config import DictAction


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, ``--variant`` and ``--cfg-options``, which every tool takes."""
    parser.add_argument('config', help='the config file, or a grid file of configs/grids')
    parser.add_argument('--variant', metavar='NAME', help='which variant of a grid file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='settings that replace those of the config, such as train_dataloader.batch_size=2',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing share: the work folder and the launcher."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go (work_dirs/CONFIG)')
    add_launcher_arguments(parser)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every training takes: the run's arguments, and how it goes on and learns."""
    add_run_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or from the newest whole one of the work folder',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bf16', 'fp16', 'off'],
        help='mixed precision: bf16 where the GPU has it, or as said; off leaves it out',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the images of one optimizer step',
    )
    parser.add_argument('--seed', type=int, help='seed of all randomness')


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what starts several processes."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts several processes',
    )
    # torch.distributed.launch passes it; torchrun sets the environment.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
