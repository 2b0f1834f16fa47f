"""Train a config: python tools/train.py CONFIG [options]."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments, add_training_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train a config of any task.')
    add_config_arguments(parser)
    add_training_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train."""
    args = parse_arguments(arguments)
    from mmaddp.engine.planning.announce import announce
    from mmaddp.engine.runs import load_config, prepare_training, train

    config = prepare_training(load_config(args.config, args.cfg_options, args.variant), args)
    announce(config)
    train(config, args.resume)


if __name__ == '__main__':
    run_tool(main)
