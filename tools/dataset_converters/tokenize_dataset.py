"""Precompute the VQ tokens of a data set: tokenize_dataset.py CONFIG --out DIR.

mmaddp.VQTokenDataset with data_root=DIR reads them. After an interruption, the same command
continues. Several processes can share the work:
torchrun --nproc_per_node 8 tools/dataset_converters/tokenize_dataset.py ... --launcher pytorch
"""

from __future__ import annotations

import argparse
import os

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('--out', required=True, help='folder of the tokens')
    parser.add_argument('--tokenizer', help="weights of the tokenizer (default: the config's)")
    parser.add_argument('--images', help="folder of images (default: the config's)")
    parser.add_argument('--crops-per-image', type=int, default=1, help='random crops per image')
    parser.add_argument('--seed', type=int, default=0, help='seed of crops and flips')
    parser.add_argument('--shard-size', type=int, default=4096, help='images per file')
    parser.add_argument('--batch-size', type=int, default=32, help='crops per batch')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that load images')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='launcher of several processes',
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Write the tokens."""
    args = parse_arguments(arguments)
    import torch

    from mmaddp.engine.runner.launch import read_launcher
    from mmaddp.engine.runs import clear_errors, load_config
    from mmaddp.experiments.tokenizing import tokenize_dataset

    config = load_config(args.config, args.cfg_options, args.variant)
    if args.tokenizer:
        config.model.tokenizer.init_cfg = dict(type='Pretrained', checkpoint=args.tokenizer)
    if args.images:
        pipeline = config.train_dataloader.dataset.get('pipeline')
        config.train_dataloader.dataset = dict(
            type='mmaddp.ImageFolder',
            data_root=args.images,
            with_label=False,
            pipeline=pipeline,
        )
    with clear_errors():
        rank, world_size = (0, 1) if args.launcher == 'none' else read_launcher(args.launcher)
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', 0)))
        tokenize_dataset(
            config,
            args.out,
            args.crops_per_image,
            args.seed,
            args.shard_size,
            args.batch_size,
            args.num_workers,
            rank,
            world_size,
        )
    print(f'the tokens of process {rank} are in {args.out}')


if __name__ == '__main__':
    run_tool(main)
