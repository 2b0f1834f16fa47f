"""Export a model: python tools/export.py CONFIG CHECKPOINT --out FILE [--format torch]."""

from __future__ import annotations

import argparse

from mmaddp.engine.arguments import add_config_arguments
from mmaddp.utils import run_tool


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write a detector, segmentor or classifier as one file that runs without this '
        'package, which tools/test.py CONFIG FILE compares with the checkpoint, or its encoder as '
        'a folder for another library.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='the weights: a training checkpoint or a published file')
    parser.add_argument(
        '--out',
        required=True,
        metavar='PATH',
        help='.onnx, .pt2 for torch, or a folder for timm and transformers',
    )
    parser.add_argument(
        '--format',
        choices=['onnx', 'torch', 'timm', 'transformers'],
        default='onnx',
        help='the whole model for onnxruntime (%(default)s) or torch.export, or its encoder, a '
        'plain ViT, for timm or transformers',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="size of the images; default: that of the config's test",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Export."""
    args = parse_arguments(arguments)
    from mmaddp.apis import export, export_encoder, load_config

    config = load_config(args.config, args.cfg_options, args.variant)
    if args.format in ('timm', 'transformers'):
        files = export_encoder(config, args.checkpoint, args.out, args.format)
        print(f'exported: {args.out}; load it by {files.usage.format(out=args.out)}')
        if files.note:
            print(files.note)
        return
    size = tuple(args.size) if args.size else None
    path = export(config, args.checkpoint, args.out, args.format, size)
    print(f'exported: {path}')


if __name__ == '__main__':
    run_tool(main)
