#!/usr/bin/env python
"""Convert a published checkpoint into a file that this package's configs load, or back."""

from __future__ import annotations

import argparse

from mmaddp.utils import run_tool


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'src', help='published file, or a folder of diffusers, transformers or timm'
    )
    parser.add_argument('dst', help='file to write: .pth, .pt or .safetensors')
    parser.add_argument(
        '--source',
        default='auto',
        metavar='NAME',
        help='layout of SRC (%(default)s); an unknown name prints all layouts',
    )
    parser.add_argument(
        '--target',
        default='backbone',
        metavar='NAME',
        help='what to convert it to: backbone (default), detector, pretrain, tokenizer, '
        'token_predictor, decoder or official',
    )
    parser.add_argument(
        '--prefix',
        help="where in SRC the weights are, such as 'student' or 'state_dict.model' (a moving "
        'average, if there is one)',
    )
    parser.add_argument('--tokenizer', help='file with the tokenizer, if SRC lacks it')
    parser.add_argument('--token-predictor', help='file with the token predictor, if SRC lacks it')
    parser.add_argument('--half', action='store_true', help='write float16')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Convert, and report what happened to each part of the file."""
    args = parse_args(arguments)
    from mmaddp.checkpoints import convert_file, summary_table

    parts = {'tokenizer': args.tokenizer, 'token_predictor': args.token_predictor}
    parts = {part: path for part, path in parts.items() if path}
    report = convert_file(
        args.src, args.dst, args.source, args.target, args.force, parts, args.prefix, args.half
    )
    print(summary_table(report))
    for note in report.notes:
        print(f'{args.src}: {note}')
    meta = report.meta
    if meta['license']:
        print(f'license of the weights: {meta["license"]}')
    print(f"{meta['source_file']} ('{meta['source']}') -> {report.destination} ('{args.target}')")


if __name__ == '__main__':
    run_tool(main)
