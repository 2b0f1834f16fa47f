"""Time DARL's sampling with its key-value cache beside sampling without one.

`cached` sends each patch through the backbone once. `uncached` sends all patches so far through it
at every position. Both generate the same images; `largest difference` is in gray levels.
The backbone is behind a linear layer as for MSE, or with --steps behind a transformer block that
each patch passes so often.

    python benchmarks/darl_sampling.py --arch base --batch-size 8 --out cache.json
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Any
from unittest import mock

import harness
import numpy as np
import torch
from torch import Tensor

from mmaddp.apis import generate
from mmaddp.models import DARL
from mmaddp.models.backbones import darl_vit
from mmaddp.models.backbones.darl_vit import PatchByPatch
from mmaddp.utils import run_tool

SIZES = {'ti': (192, 12, 3), 'base': (768, 12, 12), 'large': (1024, 24, 16), 'huge': (1280, 32, 16)}
FORMS = ('uncached', 'cached')


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


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--arch', choices=list(SIZES), default='base')
    parser.add_argument('--img-size', type=int, default=256, help='side in pixels (%(default)s)')
    parser.add_argument('--patch-size', type=int, default=16, help='in pixels (%(default)s)')
    parser.add_argument('--steps', type=int, default=0, help='of the reverse process; 0 for MSE')
    return harness.parse_arguments(parser, arguments, batch_size=8, runs=1)


class Sampling:
    """A batch of images by one form."""

    def __init__(self, form: str, model: DARL, args: argparse.Namespace) -> None:
        self.form, self.model, self.args = form, model, args
        self.images = np.empty(0)

    def __call__(self, number: int) -> harness.Seconds:
        """Seconds of the batch."""
        settings = dict(steps=self.args.steps) if self.args.steps else {}
        count = self.args.batch_size
        uncached = mock.patch.object(darl_vit, 'PatchByPatch', Uncached)
        watch = harness.Stopwatch(self.args.device)
        with uncached if self.form == 'uncached' else nullcontext():
            self.images = generate(self.model, count, batch_size=count, **settings)
        watch('sampling')
        return watch.seconds


def build_model(args: argparse.Namespace) -> DARL:
    """A DARL with random weights."""
    torch.manual_seed(0)
    arch = dict(zip(('embed_dims', 'num_layers', 'num_heads'), SIZES[args.arch]))
    sizes = dict(img_size=args.img_size, patch_size=args.patch_size)
    noise = dict(a=1.0, b=1.0) if args.steps else None
    return DARL(dict(type='mmaddp.DARLViT', arch=arch, **sizes), noise=noise).to(args.device).eval()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    model = build_model(args)
    forms = {form: Sampling(form, model, args) for form in FORMS}
    figures = harness.compare(forms, args)
    pair = (forms[form].images.astype(int) for form in FORMS)
    difference = int(np.abs(np.subtract(*pair)).max())
    print(f'largest difference: {difference} of 255')
    harness.write(args, dict(figures, largest_difference=difference))


if __name__ == '__main__':
    run_tool(main)
