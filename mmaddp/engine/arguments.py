"""Arguments that tools share. Importing this does not import PyTorch, so that --help is fast."""

from __future__ import annotations

import argparse
import ast
from typing import Any

from mmengine.config import DictAction


class OptionsAction(DictAction):
    """MMEngine's KEY=VALUE arguments, where a value may also be ``dict(type='SGD', lr=0.1)``."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Read the options."""
        for given in values:
            try:
                super().__call__(parser, namespace, [given], option_string)
            except (ValueError, SyntaxError, AssertionError, RecursionError):
                hint = f'{given}: give KEY=VALUE as in a config'
                raise argparse.ArgumentError(self, hint) from None

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        if 'dict(' not in val and '{' not in val:
            return DictAction._parse_iterable(val)
        return ast.literal_eval(_Literals().visit(ast.parse(val.strip(), mode='eval')))


class _Literals(ast.NodeTransformer):
    """Makes calls of ``dict`` literals, and bare words strings as MMEngine does."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) != 'dict' or node.args:
            return node
        keys = [keyword.arg and ast.Constant(keyword.arg) for keyword in node.keywords]
        return ast.Dict(keys, [self.visit(keyword.value) for keyword in node.keywords])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Constant(ast.unparse(node))


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, ``--variant`` and ``--cfg-options``, which every tool takes."""
    parser.add_argument('config', help='the config file, or a grid file of configs/grids')
    parser.add_argument('--variant', metavar='NAME', help='which variant of a grid file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
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
        help='mixed precision; auto: bf16, or fp16 on a GPU without it',
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


def add_slurm_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--slurm``, which runs the cells of an experiment in a job array."""
    parser.add_argument(
        '--slurm',
        nargs='*',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='run in a Slurm job array, by submitit; its settings, such as partition=gpu '
        'gpus_per_node=1 time=24:00:00 array_parallelism=8',
    )


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    help = 'cpu, cuda, cuda:1, …; default: the GPU if there is one'
    parser.add_argument('--device', type=_device, help=help)


def _device(name: str) -> str:
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        known = f'this machine has cpu and {torch.cuda.device_count()} GPUs'
        raise argparse.ArgumentTypeError(f'{name}: there is no such device: {known}') from error
    return name
