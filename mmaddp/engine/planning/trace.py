"""One training step of a config, traced without memory, a GPU or data."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmaddp.engine.synthetic_batches import synthetic_batch
from mmaddp.models.layers import Block

from .answers import ArraysOfOnes, Fakes, parameters_without_memory, stand_in_operators
from .cuda import cuda_kernels
from .ledger import Ledger, Work
from .proposals import give_proposals


class Trace(NamedTuple):
    """What a step needs.

    Attributes:
        parameters: Number of parameters by part.
        memory: Bytes by (kind, part) at the peak of the step.
        work: Each operator of the forward and backward pass and of the optimizer's step.
        trainable: Bytes of the parameters that are trained.
        largest_block: Bytes of the transformer block with the most parameters, a unit of sharding.
        outside_blocks: Bytes of the trained parameters of no block.
    """

    parameters: dict[str, int]
    memory: Counter
    work: list[Work]
    trainable: int
    largest_block: int
    outside_blocks: int

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        return sum(self.memory.values())


class TracedWrapper(OptimWrapper):
    """An optimizer wrapper that autocasts as asked and tells the ledger where the step is."""

    ledger: Ledger
    amp: torch.dtype | None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The forward pass, in mixed precision where the config says so."""
        with super().optim_context(model), torch.autocast('cpu', self.amp, bool(self.amp)):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """The backward pass, whose temporary tensors are workspace."""
        with self.ledger.counting_as('workspace'):
            super().backward(loss, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """The optimizer's step."""
        with self.ledger.counting_as('workspace'):
            super().step(**kwargs)


def trace(config: Config, batch_size: int, device: str = 'cuda') -> Trace:
    """Trace a training step of a config.

    Args:
        config: A config of any task, as :func:`mmaddp.engine.runs.load_config` gives it.
        batch_size: Images of a batch.
        device: 'cuda' for what the kernels of a GPU keep, 'cpu' for those of a CPU.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    fakes, ledger = Fakes(), Ledger()
    with parameters_without_memory():
        model = revert_sync_batchnorm(MODELS.build(copy.deepcopy(config.model)))
    fakes.convert_parameters(model)
    model.train()
    wrapper = build_wrapper(config, model, ledger)
    if device == 'cuda':
        update_all_at_once(wrapper)
    batch = synthetic_batch(config, model, batch_size)
    give_proposals(model, batch['data_samples'])
    batch['inputs'] = tree_map(fakes.empty, batch['inputs'])
    own_state(ledger, config, model)
    on_device = cuda_kernels(ledger) if device == 'cuda' else nullcontext()
    with stand_in_operators(), ledger, ArraysOfOnes(), on_device, seeded():
        warm_up(ledger, wrapper, accumulates=accumulated(config) > 1)
        ledger.reset()
        model.train_step(batch, wrapper)
    blocks = [bytes_of(module) for module in model.modules() if isinstance(module, Block)]
    trained = bytes_of(model)
    return Trace(
        parameters=count_parameters(model),
        memory=ledger.at_peak,
        work=list(ledger.work),
        trainable=trained,
        largest_block=max(blocks, default=0),
        outside_blocks=trained - sum(blocks),
    )


@contextmanager
def seeded() -> Iterator[None]:
    """The same random numbers, such as masking ratios, for each trace."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def bytes_of(module: nn.Module) -> int:
    """Bytes of a module's trained parameters."""
    return sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)


def build_wrapper(config: Config, model: nn.Module, ledger: Ledger) -> Any:
    """The config's optimizer wrappers, as :class:`TracedWrapper`."""
    settings = copy.deepcopy(config.optim_wrapper)
    parts = (
        [settings]
        if 'optimizer' in settings
        else [part for part in settings.values() if isinstance(part, dict)]
    )
    # Every wrapper but the plain one autocasts.
    amp = any(part.get('type', 'OptimWrapper') != 'OptimWrapper' for part in parts)
    for part in parts:
        for key in ('dtype', 'loss_scale', 'accumulative_counts'):
            part.pop(key, None)
        part.type = TracedWrapper
    wrapper = build_optim_wrapper(model, settings)
    for one in each_wrapper(wrapper):
        one.ledger, one.amp = ledger, torch.bfloat16 if amp else None
    return wrapper


def each_wrapper(wrapper: Any) -> Sequence[OptimWrapper]:
    """The wrappers of a GAN's parts, or the only one."""
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def update_all_at_once(wrapper: Any) -> None:
    """Let PyTorch's own optimizers update all parameters in one operator, as they do on a GPU."""
    for one in each_wrapper(wrapper):
        for group in one.optimizer.param_groups:
            if 'foreach' in group:
                group['foreach'] = True


def accumulated(config: Config) -> int:
    """Batches of one optimizer step."""
    return config.optim_wrapper.get('accumulative_counts', 1)


def own_state(ledger: Ledger, config: Config, model: nn.Module) -> None:
    """Count weights and buffers, and gradients as soon as they are whole."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        ledger.own(tensor, 'weights', name.partition('.')[0])

    def own_gradient(parameter: Tensor) -> None:
        ledger.add(parameter.grad, 'gradients', ledger.part)

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(own_gradient)


def warm_up(ledger: Ledger, wrapper: Any, accumulates: bool) -> None:
    """Let the optimizer make its state, and gradients stay where they accumulate."""
    for one in each_wrapper(wrapper):
        parameters = [p for group in one.optimizer.param_groups for p in group['params']]
        with ledger.counting_as('gradients'):
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)
        with ledger.counting_as('optimizer'):
            one.optimizer.step()
        if not accumulates:
            one.optimizer.zero_grad()


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters of each child of a model that has any."""
    counts: Counter = Counter()
    for name, parameter in model.named_parameters():
        counts[name.partition('.')[0]] += parameter.numel()
    return dict(counts)
