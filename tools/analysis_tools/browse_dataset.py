"""Write images of the training data: python tools/analysis_tools/browse_dataset.py CONFIG."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool


def main(arguments: list[str] | None = None) -> None:
    """Write the images."""
    parser = argparse.ArgumentParser(
        description='Write images of the training data after its pipeline, with their labels.'
    )
    add_config_arguments(parser)
    parser.add_argument('--output-dir', default='browse', help='folder of the images')
    parser.add_argument('--number', type=int, default=20, help='maximum number of images')
    parser.add_argument('--seed', type=int, default=0, help='seed of crops and flips')
    args = parser.parse_args(arguments)
    from mmaddp.engine.runs import clear_errors, load_config
    from mmaddp.experiments.browsing import visualize_dataset

    config = load_config(args.config, args.cfg_options, args.variant)
    with clear_errors():
        paths = visualize_dataset(config, args.output_dir, args.number, args.seed)
    print(f'{len(paths)} images are in {args.output_dir}')


if __name__ == '__main__':
    run_tool(main)
