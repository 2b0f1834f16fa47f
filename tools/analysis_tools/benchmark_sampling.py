"""Compare DARL's sampling with the key-value cache and without it.

`cached` is the package's: each patch goes through the backbone once. `uncached` puts all patches so
far through it for every place, the later ones left out. Both draw the same images, which is
checked. The backbone is behind a linear layer as for MSE, or with --steps behind a transformer
block that is asked so often for each patch. The forms take turns.

    python tools/analysis_tools/benchmark_sampling.py --arch base --batch-size 8 --out cache.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from mmaddp.apis.benchmark import now
from mmaddp.apis.generators import generator_of
from mmaddp.diffusion import ImageNoise
from mmaddp.models import DARL
from mmaddp.models.backbones import darl_vit
from mmaddp.models.backbones.patch_by_patch import PatchByPatch
from mmaddp.utils import UserError, atomic_write, run_tool

FORMS = ('uncached', 'cached')
ARCHITECTURES = {'tiny': dict(embed_dims=192, num_layers=12, num_heads=3)}


class Uncached(PatchByPatch):
    """Sampling that keeps the patches, and nothing of what the blocks made of them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.given = self.pending

    def next_features(self) -> Tensor:
        """All tokens so far through all blocks."""
        self.caches = [None] * len(self.caches)
        self.pending = self.given
        return super().next_features()

    def append(self, tokens: Tensor) -> None:
        """Give the next patches."""
        waiting = self.pending.shape[1]
        super().append(tokens)
        self.given = torch.cat([self.given, self.pending[:, waiting:]], dim=1)


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--arch', choices=['tiny', 'base', 'large', 'huge'], default='base')
    parser.add_argument('--img-size', type=int, default=256, help='side in pixels (%(default)s)')
    parser.add_argument('--patch-size', type=int, default=16, help='in pixels (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='images at once (%(default)s)')
    parser.add_argument('--steps', type=int, default=0, help='of the reverse process; 0 for MSE')
    parser.add_argument('--runs', type=int, default=1, help='of each form (%(default)s)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    return parser.parse_args(arguments)


def build_model(args: argparse.Namespace) -> DARL:
    """A DARL with random weights."""
    torch.manual_seed(0)
    backbone = dict(
        type='mmaddp.DARLViT',
        arch=ARCHITECTURES.get(args.arch, args.arch),
        img_size=args.img_size,
        patch_size=args.patch_size,
    )
    noise = dict(a=1.0, b=1.0) if args.steps else None
    return DARL(backbone, noise=noise).to(args.device).eval()


def sample(model: DARL, args: argparse.Namespace, form: str) -> tuple[float, Tensor]:
    """Seconds for a batch, and its patches (B, N, P)."""
    generator = generator_of(model)
    sampler = generator.sampler(dict(steps=args.steps) if args.steps else {})
    start = generator.blank().repeat(args.batch_size)
    start = start.select(torch.arange(args.batch_size), torch.device(args.device))
    noise = ImageNoise(0, range(args.batch_size))
    patched = mock.patch.object(darl_vit, 'PatchByPatch', Uncached)
    with patched if form == 'uncached' else nullcontext():
        began = now(args.device)
        for step in sampler(model, *start, noise):
            values = step.values
        return now(args.device) - began, values


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of a batch and images a second of each form, and the largest difference."""
    model = build_model(args)
    runs = [{form: sample(model, args, form) for form in FORMS} for _ in range(args.runs)]
    values = {form: runs[0][form][1] for form in FORMS}
    seconds = {form: statistics.median(run[form][0] for run in runs) for form in FORMS}
    return dict(
        patches=values['cached'].shape[1],
        seconds=seconds,
        images_per_second={form: args.batch_size / seconds[form] for form in FORMS},
        speedup=seconds['uncached'] / seconds['cached'],
        largest_difference=(values['cached'] - values['uncached']).abs().max().item(),
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    for name, least in (('batch_size', 1), ('runs', 1), ('steps', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: must be {least} or more')
    figures = compare(args)
    for form in FORMS:
        speed = figures['images_per_second'][form]
        print(f'{form:8} {figures["seconds"][form]:.2f} s a batch  {speed:.3f} images/s')
    print(
        f'{figures["patches"]} patches: x{figures["speedup"]:.1f} with the cache, values differ by '
        f'{figures["largest_difference"]:.1e} at most'
    )
    if args.out:
        with atomic_write(args.out) as temporary:
            temporary.write_text(json.dumps({**vars(args), **figures}, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
