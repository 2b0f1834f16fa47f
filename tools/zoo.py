#!/usr/bin/env python
"""List the small encoders that come with this package, or print a model card."""

from __future__ import annotations

import argparse

from mmaddp import zoo
from mmaddp.utils import run_tool


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', nargs='?', help='print this model card instead of the list')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Print the list or the card."""
    args = parse_args(arguments)
    if args.name:
        card = zoo.read_card(args.name.split('//')[-1])
        print(f'zoo://{card.name}: {zoo.file_of(card.name)}\n\n{card.text}')
        return
    from prettytable import PrettyTable

    table = PrettyTable(['name', 'method', 'parameters', 'MB', 'pre-trained on'], align='l')
    for name in zoo.list_names():
        facts = zoo.read_card(name).facts
        size = zoo.file_of(name).stat().st_size / 1e6
        row = [f'zoo://{name}', facts['method'], facts['parameters'], f'{size:.1f}', facts['data']]
        table.add_row(row)
    print(table)


if __name__ == '__main__':
    run_tool(main)
