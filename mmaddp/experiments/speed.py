"""Speed and peak memory of a config's training step and inference, on synthetic batches."""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmaddp.engine.synthetic_batches import synthetic_batch
from mmaddp.engine.validation import check_runs_on_cpu
from mmaddp.utils import UserError

_STATUS = Path('/proc/self/status')


def benchmark(
    config: Config,
    batch_size: int = 2,
    image_size: tuple[int, int] | None = None,
    iterations: int = 10,
    warmup: int = 3,
    device: str | None = None,
    pretrained: bool = False,
) -> dict[str, Any]:
    """Measure the training step and inference of a config's model.

    Args:
        config: A config of a detector, segmentor, classifier or pre-training. Each of the model's
            ``timed_steps`` is a phase.
        batch_size: Images of a batch.
        image_size: Height and width; the backbone's ``img_size`` when None.
        iterations: Measured steps.
        warmup: Steps before them.
        device: 'cuda' or 'cpu'; the GPU if available when None.
        pretrained: Load the weights of ``init_cfg``.

    Returns:
        The settings and, under 'training' and 'inference' (where the model predicts): images per
        second of the median step, median milliseconds of each phase, ``peak_memory_mib`` (see
        ``memory_kind``) and ``memory_before_mib``, in use between steps after the warm-up.

    Raises:
        UserError: The config needs a GPU and there is none.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if device == 'cpu':
        check_runs_on_cpu(config, trains=True)
    model = revert_sync_batchnorm(MODELS.build(config.model))
    if pretrained:
        model.init_weights()
    model.to(device)
    size = image_size or _backbone_size(config)
    result = {
        'device': torch.cuda.get_device_name() if device == 'cuda' else 'cpu',
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'batch_size': batch_size,
        'image_size': list(size),
        'iterations': iterations,
        'warmup': warmup,
        'parameters': sum(p.numel() for p in model.parameters()),
        'memory_kind': _memory_kind(device),
    }
    batch = synthetic_batch(config, model, batch_size, size)
    # Inference runs first: on the CPU, memory freed by training would still count as resident.
    inference, training = _inference_step(model), _training_step(config, model)
    counts = batch_size, iterations, warmup
    if config.get('test_dataloader') is not None:
        result['inference'] = _measure(inference, batch, device, *counts)
    result['training'] = _measure(training, batch, device, *counts)
    return result


def _backbone_size(config: Config) -> tuple[int, int]:
    encoder = config.model.get('backbone') or config.model.get('encoder') or {}
    size = encoder.get('img_size')
    if size is None:
        raise UserError('the backbone has no img_size: give --img-size HEIGHT WIDTH')
    return (size, size) if isinstance(size, int) else tuple(size)


Mark = Callable[[str], None]
Step = Callable[[dict, Mark], None]


def _training_step(config: Config, model: nn.Module) -> Step:
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    # Every timed step updates the weights, whatever the config accumulates.
    wrapper._accumulative_counts = 1

    def step(batch: dict, mark: Mark) -> None:
        model.train()
        for name, method in timed_methods(model, mark).items():
            setattr(model, name, method)
        with wrapper.optim_context(model):
            data = model.data_preprocessor(batch, True)
            losses, _ = model.parse_losses(model(**data, mode='loss'))
        mark('loss' if hasattr(model, 'timed_steps') else 'forward')
        wrapper.backward(losses)
        mark('backward')
        wrapper.step()
        wrapper.zero_grad()
        mark('optimizer')

    return step


def timed_methods(model: nn.Module, mark: Mark) -> dict[str, Callable]:
    """Replacements for the methods of ``timed_steps``, by name.

    Args:
        model: The model.
        mark: Called with the name of a method after it has run.
    """

    def timed(name: str) -> Callable:
        method = getattr(type(model), name)

        def run(*args: Any, **kwargs: Any) -> Any:
            result = method(model, *args, **kwargs)
            mark(name)
            return result

        return run

    return {name: timed(name) for name in getattr(model, 'timed_steps', ())}


def _inference_step(model: nn.Module) -> Step:
    @torch.no_grad()
    def step(batch: dict, mark: Mark) -> None:
        model.eval()
        model.test_step(batch)
        mark('forward')

    return step


def _measure(
    step: Step, batch: dict, device: str, batch_size: int, iterations: int, warmup: int
) -> dict[str, Any]:
    for _ in range(warmup):
        step(_copy(batch), lambda phase: None)
    gc.collect()
    phases: dict[str, list[float]] = {}
    before = memory_in_use(device)
    with peak_memory(device) as memory:
        for _ in range(iterations):
            copied = _copy(batch)
            step(copied, _Stopwatch(device, phases))
    totals = [sum(durations) for durations in zip(*phases.values())]
    return {
        'images_per_second': batch_size / statistics.median(totals),
        'milliseconds': {k: 1e3 * statistics.median(v) for k, v in phases.items()},
        'peak_memory_mib': memory['peak'] / 2**20,
        'memory_before_mib': before / 2**20,
    }


def _copy(batch: dict) -> dict:
    """A copy of the samples, since preprocessors and losses change them in place."""
    samples, inputs = [sample.clone() for sample in batch['data_samples']], batch['inputs']
    # Images come as a list, precomputed tokens as one tensor.
    inputs = inputs.clone() if isinstance(inputs, Tensor) else list(inputs)
    return {'inputs': inputs, 'data_samples': samples}


class _Stopwatch:
    """Appends the time since the previous call to the durations of a phase."""

    def __init__(self, device: str, phases: dict[str, list[float]]) -> None:
        self.device, self.phases = device, phases
        self.last = now(device)

    def __call__(self, phase: str) -> None:
        ended = now(self.device)
        self.phases.setdefault(phase, []).append(ended - self.last)
        self.last = ended


def now(device: str) -> float:
    """The time in seconds, after all queued work of the device."""
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    return time.perf_counter()


def _memory_kind(device: str) -> str:
    if device == 'cuda':
        return 'peak bytes of the CUDA allocator, weights and optimizer included'
    if _can_reset_peak():
        return 'peak resident set of the process during the measured steps'
    return 'peak resident set of the process since its start'


@contextmanager
def peak_memory(device: str) -> Iterator[dict[str, float]]:
    """Yield a dict that holds the 'peak' in bytes after the block."""
    memory: dict[str, float] = {}
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        yield memory
        memory['peak'] = torch.cuda.max_memory_allocated()
        return
    _can_reset_peak()
    yield memory
    memory['peak'] = _resident_bytes('VmHWM')


def _can_reset_peak() -> bool:
    """Reset the kernel's high-water mark of resident memory, where Linux allows it."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return False
    return True


def memory_in_use(device: str) -> float:
    """Bytes of tensors on the GPU, or of the process's resident set on the CPU."""
    return torch.cuda.memory_allocated() if device == 'cuda' else _resident_bytes('VmRSS')


def _resident_bytes(field: str) -> float:
    if _STATUS.exists():
        lines = [line for line in _STATUS.read_text().splitlines() if line.startswith(field)]
        return float(lines[0].split()[1]) * 1024
    unit = 1 if os.uname().sysname == 'Darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
