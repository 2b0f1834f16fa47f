"""What an encoder and a training cost: parameters, FLOPs, speed and memory."""

from __future__ import annotations

import copy
import statistics
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from mmaddp.checkpoints import map_checkpoint
from mmaddp.engine.planning.answers import Fakes
from mmaddp.engine.resumption import find_newest
from mmaddp.engine.runs import clear_errors
from mmaddp.engine.synthetic_batches import training_size
from mmaddp.utils import UserError

from .logs import read_scalars
from .probing import is_probe

PARAMETERS, FLOPS = 'encoder_parameters', 'encoder_gflops'
SPEED, MEMORY = 'images_per_second', 'memory_mib'


def build_encoder(config: Config) -> nn.Module:
    """The encoder of a config on the meta device."""
    init_default_scope(config.get('default_scope') or 'mmaddp')
    part = copy.deepcopy(config.model if is_probe(config) else config.model.backbone)
    with clear_errors(config), torch.device('meta'):
        built = MODELS.build(part)
    return built.encoder.encoder_module if is_probe(config) else built


def encoder_parameters(config: Config) -> int:
    """Number of parameters of the encoder that a config builds."""
    return sum(parameter.numel() for parameter in build_encoder(config).parameters())


def encoder_cost(config: Config) -> dict[str, float]:
    """Parameters of the encoder that a config builds, and GFLOPs of a training image if known."""
    facts = {PARAMETERS: encoder_parameters(config)}
    try:
        size = training_size(config)
    except UserError:
        return facts
    return {**facts, **encoder_flops(build_encoder(config), size)}


def fused_attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **kwargs: Any
) -> int:
    """FLOPs of attention from the shapes of its inputs, as FlopCounterMode asks for them."""
    return sdpa_flop_count(query, key, value)


def encoder_flops(encoder: nn.Module, size: tuple[int, int]) -> dict[str, float]:
    """GFLOPs of one image, with two FLOPs for a multiply-add; nothing if it cannot be run."""
    # Fake tensors have no values, but unlike those of the meta device they name a real device.
    fakes = Fakes()
    fakes.convert_parameters(encoder)
    fakes.convert_buffers(encoder)
    # The counter has no formula for the CPU's fused attention, which torch 2.1 does not tell apart.
    fused = getattr(torch.ops.aten, '_scaled_dot_product_flash_attention_for_cpu', None)
    formulas = {fused: fused_attention_flops} if fused else {}
    count = FlopCounterMode(display=False, custom_mapping=formulas)
    try:
        with fakes.mode, count as counter, torch.no_grad():
            run_once(encoder.eval(), torch.zeros(1, 3, *size))
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return {}
    return {FLOPS: counter.get_total_flops() / 1e9}


def run_once(encoder: nn.Module, images: Tensor) -> None:
    """Run an encoder, whose own time does not matter for its FLOPs."""
    if getattr(encoder, 'takes_time', False) and encoder.time is None:
        # One that is probed at several noise levels.
        encoder.forward_intermediates(images, time=0.0)
    else:
        encoder(images)


def training_cost(config: Config) -> dict[str, float]:
    """Images per second and GPU memory in training, by the log; empty without one."""
    try:
        records = [one for one in read_scalars(Path(config.work_dir)) if 'time' in one]
    except UserError:
        return {}
    steps = [one for one in records if 'loss' in one]
    if not steps:
        return {}
    seconds = statistics.median(one['time'] for one in steps)
    memory = [one['memory'] for one in steps if one.get('memory')]
    cost = {SPEED: images_per_batch(newest_of(config), config) / seconds}
    return {**cost, **({MEMORY: float(max(memory))} if memory else {})}


def newest_of(config: Config) -> str | None:
    """The newest checkpoint of a config's training, if any."""
    return find_newest(config.work_dir) if config.get('work_dir') else None


def images_per_batch(checkpoint: str | Path | None, config: Config) -> int:
    """Images of a batch in all processes, by a checkpoint of the training or by its config."""
    settings = (map_checkpoint(checkpoint).get('settings') if checkpoint else None) or {}
    if settings:
        return int(settings['processes']) * int(settings['train_dataloader.batch_size'])
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    if not base:
        return config.train_dataloader.batch_size
    return base // (config.get('optim_wrapper') or {}).get('accumulative_counts', 1)
