"""Compare the two forms of decomposed relative positions on ViTDet's backbone and pyramid.

`channels` is the package's: extra query and key channels for the fused kernel. `bias` is
detectron2's: the (N, N) logits in memory, the two bias terms added, softmax, weighted sum.
Each is measured in processes of its own, forward and backward, warm-up excluded.

    python tools/analysis_tools/benchmark_attention.py --img-size 1024 --out attention.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from typing import Any, Callable
from unittest import mock

import torch
from torch import Tensor, nn

from mmaddp.models import ADDPViT, SimpleFeaturePyramid
from mmaddp.models.layers import attention
from mmaddp.models.layers.positions import relative_to_absolute
from mmaddp.utils import atomic_write, run_tool

FORMS = ('bias', 'channels')
MEBIBYTE = 2**20


def bias_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rel_pos_h: Tensor,
    rel_pos_w: Tensor,
    grid: tuple[int, int],
) -> Tensor:
    """Attention with the bias in memory; arguments as :func:`attention.rel_pos_attention`."""
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    q = q.unflatten(2, grid)
    rel_h = torch.einsum('bnhwc,hkc->bnhwk', q, relative_to_absolute(rel_pos_h, grid[0]))
    rel_w = torch.einsum('bnhwc,wkc->bnhwk', q, relative_to_absolute(rel_pos_w, grid[1]))
    logits = logits.unflatten(2, grid).unflatten(4, grid)
    logits = logits + rel_h[..., :, None] + rel_w[..., None, :]
    return logits.flatten(4, 5).flatten(2, 3).softmax(dim=-1) @ v


def build_model(arch: str, img_size: int) -> nn.Module:
    """ViTDet's windowed backbone with the simple feature pyramid, in training mode."""
    num_layers = dict(base=12, large=24, huge=32)[arch]
    quarter = num_layers // 4
    backbone = ADDPViT(
        arch,
        img_size=img_size,
        with_cls_token=False,
        embed_norm=False,
        final_norm=False,
        window_size=14,
        global_attn_indexes=range(quarter - 1, num_layers, quarter),
        use_rel_pos=True,
    )
    return nn.Sequential(backbone, SimpleFeaturePyramid(backbone.embed_dims, 256))


def peak_memory(device: torch.device) -> int:
    """Peak bytes so far: CUDA's allocations, or the process's resident set on a CPU."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def steps(form: str, args: argparse.Namespace, count: int) -> Iterator[dict[str, float]]:
    """Forward and backward, ``count`` times: seconds of each, and what they add to the peak."""
    device = torch.device(args.device)
    dtype = getattr(torch, args.amp) if args.amp else None
    model = build_model(args.arch, args.img_size).to(device)
    images = torch.randn(args.batch_size, 3, args.img_size, args.img_size, device=device)
    path = bias_attention if form == 'bias' else attention.rel_pos_attention
    for parameter in model.parameters():
        # Gradients take their memory before the activations are counted.
        parameter.grad = torch.empty_like(parameter).fill_(0)
    before = peak_memory(device)
    with mock.patch.object(attention, 'rel_pos_attention', path):
        for _ in range(count):
            model.zero_grad(set_to_none=False)
            started = now(device)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                loss = sum(level.float().mean() for level in model(images))
            between = now(device)
            loss.backward()
            yield dict(
                forward_s=between - started,
                backward_s=now(device) - between,
                peak_activations_mib=(peak_memory(device) - before) / MEBIBYTE,
            )


def measure_time(form: str, args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of forward and backward after the warm-up."""
    counted = list(steps(form, args, args.warmup + args.runs))[args.warmup :]
    keys = ('forward_s', 'backward_s')
    return {key: statistics.median(step[key] for step in counted) for key in keys}


def measure_memory(form: str, args: argparse.Namespace) -> float:
    """MiB that one step's activations add to the peak."""
    (step,) = steps(form, args, 1)
    return step['peak_activations_mib']


def in_process(function: Callable, form: str, args: argparse.Namespace, **variables: str) -> Any:
    """Call a function in a fresh process with more environment variables."""
    context = multiprocessing.get_context('spawn')
    with mock.patch.dict(os.environ, variables), context.Pool(1) as pool:
        return pool.apply(function, (form, args))


def measure(form: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds and memory, each in a process of its own.

    Where the memory is measured, the C library maps every tensor by itself and gives it back at
    once, so that the resident set is what is alive and not what its heap has kept.
    """
    result = in_process(measure_time, form, args)
    memory = in_process(measure_memory, form, args, MALLOC_MMAP_THRESHOLD_=str(MEBIBYTE))
    return {**result, 'peak_activations_mib': memory}


def now(device: torch.device) -> float:
    """Seconds, once the device has finished what it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--arch', choices=('base', 'large', 'huge'), default='base')
    parser.add_argument('--img-size', type=int, default=1024, help='side in pixels')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--warmup', type=int, default=1, help='runs that are not counted')
    parser.add_argument('--runs', type=int, default=3, help='runs that are counted')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', choices=('bfloat16', 'float16'), help='autocast to this type')
    parser.add_argument('--out', help='write the figures to this JSON file')
    return parser.parse_args()


def main() -> None:
    """Measure both forms and print them side by side."""
    args = parse_args()
    results = {}
    for form in FORMS:
        results[form] = measure(form, args)
        print(form, {key: round(value, 3) for key, value in results[form].items()}, flush=True)
    ratios = {key: results['channels'][key] / results['bias'][key] for key in results['bias']}
    print('channels / bias', {key: round(value, 3) for key, value in ratios.items()})
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(json.dumps(dict(settings=vars(args), results=results), indent=2))


if __name__ == '__main__':
    run_tool(main)
