"""Time ViTDet's backbone and pyramid beside detectron2's own code.

`theirs` is detectron2's `vit.py`, out of a checkout; without one, `bias` is the same computation
written here: the (N, N) logits of decomposed relative positions in memory. `ours` gives the fused
kernel extra query and key channels instead. Time is measured in turn, memory in a process of each.

    python benchmarks/vitdet_backbone.py --detectron2 CHECKOUT --out vitdet.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import harness
import torch
from theirs import detectron2_vitdet
from torch import Tensor, nn

from mmaddp.experiments.speed import memory_in_use, peak_memory
from mmaddp.models import ADDPViT, SimpleFeaturePyramid
from mmaddp.models.layers import attention
from mmaddp.models.layers.positions import relative_to_absolute
from mmaddp.utils import run_tool

SIZES = {'base': (768, 12, 12), 'large': (1024, 24, 16), 'huge': (1280, 32, 16)}
MEBIBYTE = 2**20


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--detectron2', type=Path, help='checkout of facebookresearch/detectron2')
    parser.add_argument('--arch', choices=list(SIZES), default='base')
    parser.add_argument('--img-size', type=int, default=1024, help='side in pixels')
    return harness.parse_arguments(parser, arguments)


def bias_attention(
    q: Tensor, k: Tensor, v: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Attention with the bias in memory; arguments as :func:`attention.rel_pos_attention`."""
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    q = q.unflatten(2, grid)
    rel_h = torch.einsum('bnhwc,hkc->bnhwk', q, relative_to_absolute(rel_pos_h, grid[0]))
    rel_w = torch.einsum('bnhwc,wkc->bnhwk', q, relative_to_absolute(rel_pos_w, grid[1]))
    logits = logits.unflatten(2, grid).unflatten(4, grid)
    logits = logits + rel_h[..., :, None] + rel_w[..., None, :]
    return logits.flatten(4, 5).flatten(2, 3).softmax(dim=-1) @ v


def build_model(form: str, args: argparse.Namespace) -> nn.Module:
    """Backbone and pyramid of one form, in training mode."""
    arch = dict(zip(('embed_dims', 'num_layers', 'num_heads'), SIZES[args.arch]))
    quarter = arch['num_layers'] // 4
    global_blocks = list(range(quarter - 1, arch['num_layers'], quarter))
    if form == 'theirs':
        return detectron2_vitdet(args.detectron2, arch, args.img_size, global_blocks)
    backbone = ADDPViT(
        arch,
        img_size=args.img_size,
        pretrain_img_size=224,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        window_size=14,
        global_attn_indexes=global_blocks,
        use_rel_pos=True,
    )
    return nn.Sequential(backbone, SimpleFeaturePyramid(backbone.embed_dims, 256))


class Step:
    """Forward and backward of one form."""

    def __init__(self, form: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.form, self.args = form, args
        self.model = build_model(form, args).to(args.device).train()
        shape = args.batch_size, 3, args.img_size, args.img_size
        self.images = torch.randn(shape, device=args.device)
        for parameter in self.model.parameters():
            # Gradients take their memory before activations are counted.
            parameter.grad = torch.empty_like(parameter).fill_(0)

    def __call__(self, number: int = 0) -> harness.Seconds:
        """Seconds of both."""
        self.model.zero_grad(set_to_none=False)
        in_memory = mock.patch.object(attention, 'rel_pos_attention', bias_attention)
        watch = harness.Stopwatch(self.args.device)
        with in_memory if self.form == 'bias' else nullcontext(), harness.autocast(self.args):
            levels = self.model(self.images)
            levels = levels.values() if isinstance(levels, dict) else levels
            loss = sum(level.float().mean() for level in levels)
        watch('forward')
        loss.backward()
        watch('backward')
        return watch.seconds


def added_memory(form: str, args: argparse.Namespace) -> float:
    """MiB that the activations of one step add to what is in use."""
    step = Step(form, args)
    before = memory_in_use(args.device)
    with peak_memory(args.device) as memory:
        step()
    return (memory['peak'] - before) / MEBIBYTE


def measure_memory(form: str, args: argparse.Namespace) -> float:
    """:func:`added_memory` in a process of its own.

    The C library maps each tensor by itself there and gives it back at once, so that the resident
    set is what is alive and not what its heap has kept.
    """
    variables = {'MALLOC_MMAP_THRESHOLD_': str(MEBIBYTE)}
    context = multiprocessing.get_context('spawn')
    with mock.patch.dict(os.environ, variables), context.Pool(1) as pool:
        return pool.apply(added_memory, (form, args))


def main(arguments: list[str] | None = None) -> None:
    """Measure both forms and print them side by side."""
    args = parse_arguments(arguments)
    baseline = 'theirs' if args.detectron2 else 'bias'
    forms = (baseline, 'ours')
    figures = harness.compare({form: Step(form, args) for form in forms}, args)
    for form in forms:
        figures[form]['peak_activations_mib'] = measure_memory(form, args)
    ours, other = (figures[form]['peak_activations_mib'] for form in ('ours', baseline))
    print(f'activations: {baseline} {other:.0f} MiB, ours {ours:.0f} MiB, x{ours / other:.2f}')
    harness.write(args, figures)


if __name__ == '__main__':
    run_tool(main)
