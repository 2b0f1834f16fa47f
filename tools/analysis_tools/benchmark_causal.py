"""Compare DARL's causal pre-training step with full attention over the same tokens.

`full` is mmpretrain's VisionTransformer with class token and learned positions, as MAE's kind of
encoder is trained over all of its tokens. `causal` is DARL's backbone with start token and rotary
positions. Both end in the same linear layer to pixels and its mean squared error; forward and
backward are timed. The forms take turns, so that a busy machine slows both.

    python tools/analysis_tools/benchmark_causal.py --batch-size 8 --out causal.json
"""

from __future__ import annotations

import argparse
import json
import statistics

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F

import mmaddp  # noqa: F401
from mmaddp.apis.benchmark import now
from mmaddp.models.backbones.plain_vit import ARCHITECTURES
from mmaddp.models.layers import patchify
from mmaddp.utils import UserError, atomic_write, run_tool

SIZES = {'tiny': dict(embed_dims=192, num_layers=12, num_heads=3), **ARCHITECTURES}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--arch', choices=list(SIZES), default='base')
    parser.add_argument('--img-size', type=int, default=224, help='side in pixels (%(default)s)')
    parser.add_argument('--patch-size', type=int, default=16, help='in pixels (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='images at once (%(default)s)')
    parser.add_argument('--runs', type=int, default=5, help='steps of each that count')
    parser.add_argument('--warmup', type=int, default=1, help='steps before that do not')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='precision of the step')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    return parser.parse_args(arguments)


class FullAttention(nn.Module):
    """mmpretrain's ViT, which gives the patches' outputs."""

    def __init__(self, arch: dict, img_size: int, patch_size: int) -> None:
        super().__init__()
        arch = dict(arch, feedforward_channels=4 * arch['embed_dims'])
        settings = dict(arch=arch, img_size=img_size, patch_size=patch_size, out_type='featmap')
        self.backbone = MODELS.build(dict(type='mmpretrain.VisionTransformer', **settings))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.backbone(images)[-1].flatten(2).transpose(1, 2)


class CausalAttention(nn.Module):
    """DARL's backbone in pre-training."""

    def __init__(self, arch: dict, img_size: int, patch_size: int) -> None:
        super().__init__()
        settings = dict(arch=arch, img_size=img_size, patch_size=patch_size)
        self.backbone = MODELS.build(dict(type='mmaddp.DARLViT', **settings))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, C)."""
        return self.backbone.predict_next(*self.backbone.embed_patches(images))


FORMS = {'full': FullAttention, 'causal': CausalAttention}


class Step:
    """Forward and backward of one form."""

    def __init__(self, form: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        arch = SIZES[args.arch]
        values = 3 * args.patch_size**2
        encoder = FORMS[form](arch, args.img_size, args.patch_size)
        self.model = nn.Sequential(encoder, nn.Linear(arch['embed_dims'], values)).to(args.device)
        self.device, self.patch_size = torch.device(args.device), args.patch_size
        self.dtype = getattr(torch, args.amp) if args.amp else None

    def __call__(self, images: Tensor) -> float:
        """Seconds that it takes."""
        began = now(str(self.device))
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            predicted = self.model(images)
        F.mse_loss(predicted.float(), patchify(images, self.patch_size)).backward()
        self.model.zero_grad()
        return now(str(self.device)) - began


def compare(args: argparse.Namespace) -> dict:
    """Images a second of both forms by their median steps, and the causal one's over the other."""
    steps = {form: Step(form, args) for form in FORMS}
    images = torch.randn(args.batch_size, 3, args.img_size, args.img_size, device=args.device)
    seconds: dict[str, list[float]] = {form: [] for form in FORMS}
    for number in range(args.warmup + args.runs):
        for form, step in steps.items():
            taken = step(images)
            if number >= args.warmup:
                seconds[form].append(taken)
    speeds = {form: args.batch_size / statistics.median(each) for form, each in seconds.items()}
    return dict(images_per_second=speeds, seconds=seconds, ratio=speeds['causal'] / speeds['full'])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    for name, least in (('batch_size', 1), ('runs', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: must be {least} or more')
    init_default_scope('mmaddp')
    figures = compare(args)
    for form, speed in figures['images_per_second'].items():
        print(f'{form:7} {speed:.3f} images/s')
    print(f'causal over full: x{figures["ratio"]:.2f}')
    if args.out:
        with atomic_write(args.out) as temporary:
            temporary.write_text(json.dumps({**vars(args), **figures}, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
