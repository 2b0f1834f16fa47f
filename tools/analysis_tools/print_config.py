"""Print a config with all its bases merged: python tools/analysis_tools/print_config.py CONFIG."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool, write_text


def main(arguments: list[str] | None = None) -> None:
    """Print the whole config, or write it to a file."""
    parser = argparse.ArgumentParser(description='Print a config with all its bases merged.')
    add_config_arguments(parser)
    parser.add_argument('--out', help='write a self-contained config to this file instead')
    args = parser.parse_args(arguments)
    from mmaddp.engine.runs import load_config

    text = load_config(args.config, args.cfg_options, args.variant).pretty_text
    if args.out is None:
        print(text)
        return
    write_text(args.out, text)


if __name__ == '__main__':
    run_tool(main)
