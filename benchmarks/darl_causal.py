"""Time DARL's causal pre-training step beside full attention over the same tokens.

`full` is mmpretrain's VisionTransformer with class token and learned positions, as an encoder of
MAE's kind sees all of its tokens. `causal` is DARL's backbone with start token and rotary
positions. Both end in a linear layer to pixels and its mean squared error.

    python benchmarks/darl_causal.py --batch-size 8 --out causal.json
"""

from __future__ import annotations

import argparse

import harness
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F

import mmaddp  # noqa: F401
from mmaddp.models.layers import patchify
from mmaddp.utils import run_tool

SIZES = {'ti': (192, 12, 3), 'base': (768, 12, 12), 'large': (1024, 24, 16), 'huge': (1280, 32, 16)}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--arch', choices=list(SIZES), default='base')
    parser.add_argument('--img-size', type=int, default=224, help='side in pixels (%(default)s)')
    parser.add_argument('--patch-size', type=int, default=16, help='in pixels (%(default)s)')
    return harness.parse_arguments(parser, arguments, batch_size=8, runs=5)


class FullAttention(nn.Module):
    """mmpretrain's ViT; its patches' outputs."""

    def __init__(self, arch: dict, **sizes: int) -> None:
        super().__init__()
        arch = dict(arch, feedforward_channels=4 * arch['embed_dims'])
        settings = dict(type='mmpretrain.VisionTransformer', arch=arch, out_type='featmap')
        self.backbone = MODELS.build(dict(settings, **sizes))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.backbone(images)[-1].flatten(2).transpose(1, 2)


class CausalAttention(nn.Module):
    """DARL's backbone in pre-training."""

    def __init__(self, arch: dict, **sizes: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(dict(type='mmaddp.DARLViT', arch=arch, **sizes))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.backbone.predict_next(*self.backbone.embed_patches(images))


FORMS = {'full': FullAttention, 'causal': CausalAttention}


class Step:
    """Forward and backward of one form."""

    def __init__(self, form: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        arch = dict(zip(('embed_dims', 'num_layers', 'num_heads'), SIZES[args.arch]))
        encoder = FORMS[form](arch, img_size=args.img_size, patch_size=args.patch_size)
        head = nn.Linear(arch['embed_dims'], 3 * args.patch_size**2)
        self.model, self.args = nn.Sequential(encoder, head).to(args.device), args
        shape = args.batch_size, 3, args.img_size, args.img_size
        self.images = torch.randn(shape, device=args.device)

    def __call__(self, number: int) -> harness.Seconds:
        """Seconds of both."""
        watch = harness.Stopwatch(self.args.device)
        with harness.autocast(self.args):
            predicted = self.model(self.images)
        loss = F.mse_loss(predicted.float(), patchify(self.images, self.args.patch_size))
        watch('forward')
        loss.backward()
        self.model.zero_grad()
        watch('backward')
        return watch.seconds


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    init_default_scope('mmaddp')
    harness.write(args, harness.compare({form: Step(form, args) for form in FORMS}, args))


if __name__ == '__main__':
    run_tool(main)
