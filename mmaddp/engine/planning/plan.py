"""Whether a config fits a GPU, how fast it can be, and the cheapest settings that fit."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.utils import digit_version

from mmaddp.engine.validation import recomputable_parts
from mmaddp.utils import UserError

from .devices import GIB, Device
from .trace import Trace, accumulated, trace

# GiB of the CUDA context, cuBLAS's and NCCL's buffers, and the part of memory that the caching
# allocator loses to fragments.
CONTEXT, FRAGMENTS = 1.0, 0.05
# Images of training sets that configs name; the first name that is found counts.
IMAGES = {
    'mmaddp.TinyImageNet': 100_000,
    'ImageNet': 1_281_167,
    'ADE20KDataset': 20_210,
    'data/coco': 117_266,
    'cifar10': 50_000,
}


@dataclass
class Plan:
    """What a training needs of each of its GPUs, and how long it takes at least.

    Attributes:
        device: The GPU.
        processes: GPUs of the training.
        batch_size: Images of a batch on one GPU.
        options: What differs from the config, by dotted key.
        parameters: Number of parameters by part.
        flops: Floating-point operations of a step on one GPU by part.
        memory: Bytes by (kind, part) at the peak of a step.
        seconds: Least time of a step; None if the GPU's speed is unknown.
        steps: Steps of the whole schedule; None if the number of images is unknown.
    """

    device: Device
    processes: int
    batch_size: int
    options: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    flops: Counter = field(default_factory=Counter)
    memory: Counter = field(default_factory=Counter)
    seconds: float | None = None
    steps: int | None = None

    @property
    def needed(self) -> float:
        """GiB of the GPU, with CUDA's own and fragments."""
        return sum(self.memory.values()) / GIB * (1 + FRAGMENTS) + CONTEXT

    @property
    def fits(self) -> bool:
        """Whether the GPU has as much."""
        return self.needed <= self.device.memory

    @property
    def images_per_second(self) -> float | None:
        """Most images of all GPUs together."""
        return self.batch_size * self.processes / self.seconds if self.seconds else None

    @property
    def hours(self) -> float | None:
        """Least hours of the schedule."""
        return self.seconds * self.steps / 3600 if self.seconds and self.steps else None

    def of_kind(self, kind: str) -> Counter:
        """Bytes of one kind by part."""
        return Counter({part: n for (name, part), n in self.memory.items() if name == kind})


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log of what is built and thrown away to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def make_plan(
    config: Config, device: Device, processes: int = 1, images: int | None = None
) -> Plan:
    """Plan a config without changing its settings.

    Args:
        config: The config, as :func:`mmaddp.engine.runs.load_config` gives it.
        device: The GPU.
        processes: GPUs of the training.
        images: Images of an epoch; known for the usual data sets.

    Raises:
        UserError: PyTorch is too old to trace a step.
    """
    if digit_version(torch.__version__) < digit_version('2.4'):
        raise UserError(f'planning needs PyTorch 2.4 or newer, this is {torch.__version__}')
    batch_size = config.train_dataloader.batch_size
    with quiet():
        traced = trace(config, batch_size)
    plan = Plan(device, processes, batch_size, parameters=traced.parameters)
    plan.memory = share_out(traced, processes, is_sharded(config))
    if any(hook.get('type') == 'EMAHook' for hook in config.get('custom_hooks') or ()):
        plan.memory['weights', 'moving average'] = sum(plan.of_kind('weights').values())
    for work in traced.work:
        plan.flops[work.part] += work.flops
    if device.half:
        plan.seconds = sum(
            device.seconds(work.flops, work.moved, work.dtype, work.convolves)
            for work in traced.work
        )
    plan.steps = count_steps(config, processes * batch_size, images)
    return plan


def share_out(traced: Trace, processes: int, sharded: bool) -> Counter:
    """A process's memory where several train together."""
    memory = Counter(traced.memory)
    if processes == 1:
        return memory
    if not sharded:
        # DistributedDataParallel reduces gradients in buckets of its own.
        memory['gradients', 'buckets'] += traced.trainable
        return memory
    for (kind, part), size in traced.memory.items():
        if kind in ('weights', 'gradients', 'optimizer'):
            memory[kind, part] = size // processes
    # What belongs to no block stays gathered; of the blocks, the present one and the next.
    memory['workspace', 'gathered'] += traced.outside_blocks + 2 * traced.largest_block
    return memory


def is_sharded(config: Config) -> bool:
    """Whether a config trains with :class:`mmaddp.ShardedRunner`."""
    return str(config.get('runner_type', '')).endswith('ShardedRunner')


def count_steps(config: Config, images_of_a_step: int, images: int | None) -> int | None:
    """Batches of the schedule, or None if the number of images is unknown."""
    schedule = config.train_cfg
    if schedule.get('max_iters'):
        return schedule.max_iters
    dataset = config.train_dataloader.dataset
    where = f'{dataset.get("type")} {dataset.get("data_root")}'
    if not images:
        known = next((n for name, n in IMAGES.items() if name in where), 0)
        images = round(known * (config.get('labels') or 1)) or None
    return images and schedule.max_epochs * -(-images // images_of_a_step)


def cheapest(plan: Plan, config: Config, images: int | None = None) -> Plan | None:
    """Find the fastest settings that fit and still train the same network.

    Tries, in this order: more and smaller batches per step, mixed precision, recomputation, both.
    Each try takes the largest batches that fit.

    Args:
        plan: The plan of the unchanged config, which does not fit.
        config: The config.
        images: Images of an epoch.

    Returns:
        The plan, or None if nothing fits.
    """

    def plan_with(options: dict[str, Any]) -> Plan:
        changed = copy.deepcopy(config)
        changed.merge_from_dict(options)
        other = make_plan(changed, plan.device, plan.processes, images)
        other.options = options
        return other

    for extra in remedies(config):
        largest = plan_with(extra) if extra else plan
        if largest.fits:
            return largest
        *middle, last = [{}, *split_batches(config)]
        smallest = plan_with({**extra, **last}) if last else largest
        if not smallest.fits:
            continue
        for batch in middle[1:]:
            # Memory over the batch is convex: what fits on the chord fits.
            size = batch['train_dataloader.batch_size']
            share = (size - smallest.batch_size) / (largest.batch_size - smallest.batch_size)
            if smallest.needed + share * (largest.needed - smallest.needed) <= plan.device.memory:
                return plan_with({**extra, **batch})
        return smallest
    return None


def remedies(config: Config) -> Iterator[dict[str, Any]]:
    """Options that save memory and change no result but by rounding, the cheapest first."""
    half, recomputed = half_precision(config), recompute(config)
    yield {}
    yield from filter(None, (half, recomputed))
    if half and recomputed:
        yield {**half, **recomputed}


def split_batches(config: Config) -> Iterator[dict[str, Any]]:
    """The same images of an optimizer step in more and more batches."""
    batch_size, accumulates = config.train_dataloader.batch_size, accumulated(config)
    # BatchNorm behind a global pooling has no statistics of one image; detectors have none.
    least = 1 if config.get('default_scope') == 'mmdet' else 2
    for parts in range(2, batch_size // least + 1):
        # A GAN's parts cannot accumulate.
        if batch_size % parts == 0 and 'optimizer' in config.optim_wrapper:
            yield {
                'train_dataloader.batch_size': batch_size // parts,
                'optim_wrapper.accumulative_counts': parts * accumulates,
            }


def half_precision(config: Config) -> dict[str, Any]:
    """Mixed precision, where the config has none."""
    if config.optim_wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        return {}
    return {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'}


def recompute(config: Config) -> dict[str, Any]:
    """Recomputation of the networks' blocks, where they can and do not yet."""
    return {f'model.{part}.with_cp': True for part in recomputable_parts(config.model)}


def summarize(plan: Plan) -> str:
    """A plan in one line."""
    kinds: Counter = Counter()
    for (kind, _), size in plan.memory.items():
        kinds[kind] += size
    parts = ', '.join(f'{kind} {size / GIB:.1f}' for kind, size in kinds.most_common())
    speed = plan.images_per_second
    bound = f'; at most {speed:.3g} images/s' if speed else ''
    return (
        f'{"fits" if plan.fits else "does not fit"} {plan.device.name}: needs {plan.needed:.1f} of '
        f'{plan.device.memory:.1f} GiB with batches of {plan.batch_size} ({parts}, the rest for '
        f'CUDA and fragments){bound}'
    )


def remedy(found: Plan | None, config: Config) -> str:
    """What to add to the command line so that a config fits."""
    if found is not None:
        words = ' '.join(f'{key}={value}' for key, value in found.options.items())
        return f'fits with --cfg-options {words}'
    frozen = 'frozen_stages' if 'backbone' in config.model else ''
    return (
        'no batch, precision or recomputation makes it fit: use more memory, sharding over several '
        'GPUs, ' + (f'model.backbone.{frozen}, ' if frozen else '') + 'or smaller crops'
    )


def describe(plan: Plan) -> str:
    """A plan as a text of several lines."""
    rows = [
        ('parameters', f'{sum(plan.parameters.values()) / 1e6:.1f} million', plan.parameters, 1e6),
        ('a step', f'{sum(plan.flops.values()) / 1e12:.2f} TFLOP', plan.flops, 1e12),
    ]
    for kind in ('weights', 'gradients', 'optimizer', 'activations', 'workspace'):
        parts = plan.of_kind(kind)
        rows.append((kind, f'{sum(parts.values()) / GIB:.2f} GiB', parts, GIB))
    lines = [f'{name:12} {total:>14}   {_parts(parts, unit)}' for name, total, parts, unit in rows]
    hours = f', at least {plan.hours:.0f} hours for the schedule' if plan.hours else ''
    return '\n'.join([*lines, f'{summarize(plan)}{hours}'])


def _parts(parts: Any, unit: float) -> str:
    shown = [(part, n / unit) for part, n in Counter(parts).most_common() if n / unit >= 0.005]
    return ', '.join(f'{part or "inputs"} {n:.2f}' for part, n in shown)
