"""Draw a DARL model's order of patches, and plot its error at each (figures 10 to 14 of DARL).

    python tools/analysis_tools/patch_errors.py CONFIG CHECKPOINT --work-dir work_dirs/errors/raster

Without CHECKPOINT only the order is drawn. The images are those of the training, not augmented;
for validation images of ImageNet add --cfg-options train_dataloader.dataset.split=val.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import UserError, run_tool


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of the training')
    parser.add_argument(
        '--beside',
        nargs='+',
        type=Path,
        default=[],
        metavar='DIR',
        help='work folders of other models, whose curves are plotted too',
    )
    parser.add_argument(
        '--num-images', type=int, help='size of a random subset of the images (default: all)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the noise and the subset')
    parser.add_argument('--batch-size', type=int, default=64, help='images per batch')
    parser.add_argument('--num-workers', type=int, default=2, help='processes that load images')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, …; default: the GPU if there is one')
    parser.add_argument(
        '--work-dir', type=Path, required=True, help='folder of the results, whose name labels them'
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the order; with a checkpoint, measure and plot the errors."""
    args = parse_arguments(arguments)
    from mmaddp.apis.models import build_pretrainer, load_pretrainer
    from mmaddp.engine.runs import clear_errors, load_config
    from mmaddp.experiments import patch_errors
    from mmaddp.experiments.figures import save_figure
    from mmaddp.models import DARL

    config = load_config(args.config, args.cfg_options, args.variant)
    for folder in args.beside:
        patch_errors.read_errors(folder)  # fails before the measuring
    with clear_errors(config):
        model = build_pretrainer(config)
        if not isinstance(model, DARL):
            raise UserError(f'{args.config}: model.type is not mmaddp.DARL: only DARL has an order')
        drawn = patch_errors.plot_order(model.grid, patch_errors.order_of(model))
        save_figure(drawn, args.work_dir / patch_errors.ORDER_FILE)
        print(f'order: {args.work_dir / patch_errors.ORDER_FILE}')
        if args.checkpoint is None:
            return
        model = load_pretrainer(config, args.checkpoint, args.device)
        errors = patch_errors.measure_patch_errors(
            model, config, args.num_images, args.seed, args.batch_size, args.num_workers
        )
    errors.write(args.work_dir, args.beside)
    mean = sum(errors.errors) / len(errors.errors)
    files = (args.work_dir / name for name in (patch_errors.MAP_FILE, patch_errors.CURVES_FILE))
    print(f'mean loss {mean:.4g}: {", ".join(map(str, files))}')


if __name__ == '__main__':
    run_tool(main)
