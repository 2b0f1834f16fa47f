"""Compare the peak memory that `mmaddp plan` predicts with what a step takes on this machine.

Each config of CASES runs one training step on a CPU, in a process of its own, on random images. Its
peak counts each allocation of PyTorch's allocator, as the profiler reports them, so that neither
the C library's heap nor other libraries blur it. Detectors get the proposals of the plan.

    python benchmarks/plan_memory.py --out memory.json
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import statistics
from pathlib import Path
from typing import Any

from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, UntypedStorage
from torch.profiler import ProfilerActivity, profile

from mmaddp.engine.planning.ledger import Ledger
from mmaddp.engine.planning.proposals import give_proposals
from mmaddp.engine.planning.trace import accumulated, build_wrapper, trace, warm_up
from mmaddp.engine.runs import load_config
from mmaddp.engine.synthetic_batches import synthetic_batch
from mmaddp.utils import run_tool, write_json

CONFIGS = Path(__file__).parents[1] / 'configs'
MEBIBYTE = 2**20
CP, CP_ENCODER = {'model.backbone.with_cp': True}, {'model.encoder.with_cp': True}
ACCUMULATE = {'optim_wrapper.accumulative_counts': 2}
BF16 = {'optim_wrapper.type': 'AmpOptimWrapper'}
# Config, images of a batch, options.
CASES = [
    ('cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px', 16, {}),
    ('cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px', 64, {}),
    ('cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px', 64, CP),
    ('cls/addp/addp_vit-toy_1xb64-20e_image-folder-64px', 64, ACCUMULATE),
    ('cls/addp/addp_vit-toy_linear_1xb64-20e_image-folder-64px', 64, {}),
    ('cls/addp/addp_vit-toy_probe_1xb32-4e_image-folder-64px', 8, {}),
    ('cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px', 64, {}),
    ('cls/ddae/ddae-ddpm_unet-toy_1xb64-20e_cifar10-32px', 16, {}),
    ('cls/encoder/encoder_1xb64-20e_image-folder-64px', 8, {}),
    ('det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder', 1, {}),
    ('det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder', 2, CP),
    ('det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder', 2, {}),
    ('det/addp/faster-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder', 1, ACCUMULATE),
    ('det/addp/dino_addp-vit-toy_sfp_1xb4-500i_coco-folder', 1, {}),
    ('det/darl/mask-rcnn_darl-vit-toy_sfp_1xb4-500i_coco-folder', 1, {}),
    ('det/ddae/mask-rcnn_ddae-ddpm-unet-toy_sfp_1xb4-500i_coco-folder', 1, {}),
    ('seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112', 2, {}),
    ('seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112', 4, CP),
    ('seg/addp/mask2former_addp-vit-toy_1xb8-600i_camvid-112x112', 1, {}),
    ('seg/darl/upernet_darl-vit-toy_1xb8-600i_camvid-112x112', 2, {}),
    ('seg/ddae/upernet_ddae-ddpm-unet-toy_1xb8-600i_camvid-112x112', 2, ACCUMULATE),
    ('pretrain/addp/addp_vit-toy_1xb64-3000i_cifar10-64px', 4, {}),
    ('pretrain/addp/addp_vit-toy_1xb64-3000i_cifar10-64px', 8, {**CP_ENCODER, **ACCUMULATE}),
    ('pretrain/darl/darl-mse_vit-toy_1xb64-3000i_cifar10-32px', 64, {}),
    ('pretrain/darl/darl-mse_vit-toy_1xb64-3000i_cifar10-32px', 64, CP),
    ('pretrain/darl/darl-diff_vit-toy_1xb64-3000i_cifar10-32px', 32, ACCUMULATE),
    ('pretrain/ddae/ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px', 16, {}),
    ('pretrain/ddae/ddae-edm_unet-toy_1xb64-3000i_cifar10-32px', 16, ACCUMULATE),
    ('pretrain/mage/mage-toy_1xb64-3000i_image-folder-64px', 4, {}),
    ('pretrain/vqgan/vqgan-toy_1xb16-3000i_image-folder-64px', 2, {}),
]


def compare(case: tuple[str, int, dict[str, Any]]) -> tuple[float, float]:
    """Peak bytes of a case, predicted and measured."""
    name, batch_size, options = case
    config = load_config(CONFIGS / f'{name}.py', options)
    return sum(trace(config, batch_size, 'cpu').memory.values()), measure(config, batch_size)


def measure(config: Any, batch_size: int) -> float:
    """Peak bytes of a training step on the CPU."""
    others = storages().keys()
    init_default_scope(config.get('default_scope') or 'mmengine')
    model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    for parameter in model.parameters():
        # Some are random memory until `init_weights`, which would read files.
        parameter.data.normal_(std=0.02)
    ledger = Ledger()
    wrapper = build_wrapper(config, model, ledger)
    batch = synthetic_batch(config, model, batch_size)
    give_proposals(model, batch['data_samples'])
    warm_up(ledger, wrapper, accumulates=accumulated(config) > 1)
    before = sum(one.nbytes() for key, one in storages().items() if key not in others)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        model.train_step(batch, wrapper)
    events = profiled.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == '[memory]']
    total = peak = before
    for _, change in sorted(changes, key=lambda change: change[0]):
        total += change
        peak = max(peak, total)
    return peak


def storages() -> dict[int, UntypedStorage]:
    """The storages of all tensors that are alive, by address."""
    gc.collect()
    tensors = [o for o in gc.get_objects() if isinstance(o, Tensor) and o.device.type == 'cpu']
    return {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}


def describe(options: dict[str, Any]) -> str:
    """The options as a reader would say them."""
    words = {'with_cp': 'recomputation', 'accumulative_counts': 'accumulation', 'type': 'bf16'}
    return ', '.join(words[key.rpartition('.')[2]] for key in options)


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', help='write the figures to this JSON file too')
    parser.add_argument(
        '--only', nargs='+', default=[''], help='cases whose names have one of these'
    )
    args = parser.parse_args(arguments)
    for name in ('TOKENIZER', 'TOKEN_PREDICTOR'):
        os.environ.setdefault(name, 'unused')
    # Children are forked from a server that has imported everything once.
    rows, context = [], multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['mmaddp.engine.planning.trace', 'mmaddp.models.pretrainers'])
    print('| config | batch | options | predicted (MiB) | measured (MiB) | error |')
    print('| --- | --- | --- | --- | --- | --- |')
    for case in CASES:
        if not any(word in case[0] for word in args.only):
            continue
        with context.Pool(1) as pool:
            predicted, measured = (x / MEBIBYTE for x in pool.apply(compare, (case,)))
        error = predicted / measured - 1
        name, batch, options = case
        print(
            f'| {name} | {batch} | {describe(options)} | {predicted:.0f} | {measured:.0f} | '
            f'{error:+.1%} |',
            flush=True,
        )
        rows.append(dict(config=name, batch_size=batch, options=options))
        rows[-1].update(predicted=predicted, measured=measured, error=error)
    errors = [abs(row['error']) for row in rows]
    print(f'\nmedian error {statistics.median(errors):.1%}, worst {max(errors):.1%}')
    if args.out:
        write_json(args.out, rows)


if __name__ == '__main__':
    run_tool(main)
