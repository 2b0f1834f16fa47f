"""Draw a small instance-segmentation data set in COCO format: textured shapes over textures.

The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse

from mmaddp.utils import run_tool


def main(arguments: list[str] | None = None) -> None:
    """Draw the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('output_dir', help='folder to create')
    parser.add_argument('--num-train', type=int, default=200, help='training images')
    parser.add_argument('--num-val', type=int, default=50, help='validation images')
    parser.add_argument('--size', type=int, default=256, help='width and height in pixels')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(arguments)
    from mmaddp.datasets.shapes import CLASSES, draw_shapes

    draw_shapes(args.output_dir, args.num_train, args.num_val, args.size, args.seed)
    print(f'{args.output_dir}: {args.num_train} + {args.num_val} images of {", ".join(CLASSES)}')


if __name__ == '__main__':
    run_tool(main)
