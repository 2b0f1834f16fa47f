"""Evaluate robustness: the 15 corruptions of a config's test images, or ImageNet's variants.

    python tools/analysis_tools/evaluate_robustness.py CONFIG CHECKPOINT

tests a detector, segmentor or classifier on its own test images, corrupted. With --data-root, an
ImageNet classifier is tested on ImageNet-A, -R, -Sketch and -C.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmaddp.engine.arguments import add_config_arguments, add_device_argument
from mmaddp.utils import run_tool


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the weights of the model')
    parser.add_argument(
        '--data-root',
        help='folder with imagenet-a, imagenet-r, imagenet-sketch and imagenet-c, or some of them',
    )
    parser.add_argument(
        '--corruptions', nargs='+', metavar='NAME', help='default: all 15; without --data-root'
    )
    parser.add_argument(
        '--severities', nargs='+', type=int, metavar='N', help='default: 1 to 5; likewise'
    )
    parser.add_argument('--metric', help="the metric of the table; default: the library's")
    parser.add_argument(
        '--datasets', nargs='+', metavar='NAME', help='default: all under the data root'
    )
    parser.add_argument('--batch-size', type=int, help="default: the config's")
    parser.add_argument('--num-workers', type=int, help="default: the config's")
    add_device_argument(parser)
    parser.add_argument(
        '--work-dir',
        help='folder of the results, also for later runs of the same model; default: '
        'work_dirs/CONFIG/robustness_CHECKPOINT-HASH',
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the evaluation and print its table."""
    args = parse_args(arguments)
    from mmengine.device import get_device

    from mmaddp.datasets.imagenet_variants import CORRUPTIONS, SEVERITIES
    from mmaddp.engine.runs import load_config
    from mmaddp.experiments.corruptions import evaluate_corruptions, format_corruptions
    from mmaddp.experiments.robustness import evaluate_robustness, format_table

    config = load_config(args.config, args.cfg_options, args.variant)
    work_dir = args.work_dir or default_work_dir(args.config, Path(args.checkpoint))
    if not args.data_root:
        for name in ('batch_size', 'num_workers'):
            if getattr(args, name) is not None:
                config.test_dataloader[name] = getattr(args, name)
        summary = evaluate_corruptions(
            config,
            args.checkpoint,
            work_dir,
            args.corruptions or CORRUPTIONS,
            args.severities or SEVERITIES,
            args.metric,
            args.device or get_device(),
        )
        print(f'\n{format_corruptions(summary)}\n\nresults: {work_dir}')
        return
    summary = evaluate_robustness(
        config,
        args.checkpoint,
        args.data_root,
        work_dir=work_dir,
        datasets=args.datasets,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        device=args.device or get_device(),
    )
    print(f'\n{format_table(summary)}\n\nresults: {work_dir}')


def default_work_dir(config: str, checkpoint: Path) -> Path:
    """A folder for each checkpoint."""
    from mmaddp.checkpoints.files import sha256

    name = f'robustness_{checkpoint.stem}-{sha256(checkpoint)[:8]}'
    return Path('work_dirs') / Path(config).stem / name


if __name__ == '__main__':
    run_tool(main)
