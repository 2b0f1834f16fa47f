"""An optimizer for each part of a model."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import nn

from mmaddp.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmaddp.utils import UserError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """Builds one optimizer wrapper for each named child of a model, such as a GAN's two::

        optim_wrapper = dict(
            constructor='mmaddp.PartsOptimWrapperConstructor',
            tokenizer=dict(optimizer=dict(type='Adam', lr=1e-4)),
            discriminator=dict(optimizer=dict(type='Adam', lr=1e-4)),
        )

    Args:
        optim_wrapper_cfg: Config of an optimizer wrapper, its own constructor included, for each
            child's name.
        paramwise_cfg: Must be None; each child's wrapper may have one.

    Raises:
        UserError: ``paramwise_cfg`` is given, a name is no child, or a wrapper accumulates
            gradients: their counts are no part of a checkpoint.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise UserError('optim_wrapper.paramwise_cfg: give it to one of the parts')
        self.wrappers = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build the wrappers of a model, which may be wrapped for several processes."""
        model = model.module if is_model_wrapper(model) else model
        return OptimWrapperDict(
            **{name: build_part(model, name, cfg) for name, cfg in self.wrappers.items()}
        )


def build_part(model: nn.Module, name: str, cfg: dict) -> object:
    """The optimizer wrapper of one child."""
    child = dict(model.named_children()).get(name)
    if child is None or not isinstance(cfg, dict):
        raise UserError(
            f'optim_wrapper.{name}: {type(model).__name__} has no part {name}; it has '
            f'{", ".join(n for n, c in model.named_children() if [*c.parameters()])}'
        )
    if cfg.get('accumulative_counts', 1) > 1:
        raise UserError(f'optim_wrapper.{name}.accumulative_counts: parts cannot accumulate')
    return build_optim_wrapper(child, {'type': 'OptimWrapper', **cfg})
