"""What of an encoder learns: all of it, nothing, or low-rank adapters of its attention."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmaddp.checkpoints import Loadable
from mmaddp.utils import UserError, check_range

from ..layers.lora import LoRALinear, attention_projections, is_adapter, lora_layers

# What a file of adapters says of the weights that they were trained with.
BASE, SCALE = 'lora_base', 'lora_scale'
# Resized positions differ by less between machines, weights of another training by more.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LoRA:
    """Settings of the adapters.

    Args:
        rank: r, the width of an adapter.
        alpha: The adapters count alpha / r times; r when None.
        dropout: Dropout of the adapters' inputs.
    """

    rank: int
    alpha: float | None = None
    dropout: float = 0.0

    @property
    def scale(self) -> float:
        """Factor of the product B A."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


class TunableEncoder(Loadable):
    """An encoder that learns whole, not at all (``frozen``), or by adapters (``lora``).

    With adapters, ``state_dict()`` holds these and a fingerprint of the other weights, which
    ``init_cfg`` fills. Files of adapters are refused by an encoder with other weights.

    Attributes:
        frozen: Nothing learns: no gradients, evaluation mode.
        lora: Settings of the adapters; None without.
    """

    frozen: bool = False
    lora: LoRA | None = None

    def set_tuning(self, frozen: bool = False, lora: Mapping[str, Any] | None = None) -> None:
        """Freeze everything, or everything but new adapters. Call it when all modules exist.

        Args:
            frozen: Train nothing.
            lora: Settings of :class:`LoRA`. Attentions that train nothing get no adapters.

        Raises:
            UserError: There is no attention, or both are set.
        """
        self.frozen = frozen
        if lora:
            self.lora = LoRA(**lora)
            check_range('lora.rank', self.lora.rank, 1)
            layers = [p for p in attention_projections(self) if p.weight.requires_grad]
            if frozen or not layers:
                why = 'frozen=True' if frozen else 'no linear attention projections that train'
                raise UserError(f'lora: the {type(self).__name__} has {why}: leave lora out')
            for layer in layers:
                LoRALinear.adapt(layer, self.lora.rank, self.lora.scale, self.lora.dropout)
            self._register_state_dict_hook(_keep_adapters)
        self.freeze()

    def freeze(self) -> None:
        """Stop the gradients of what does not learn."""
        if self.frozen or self.lora:
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(is_adapter(name))

    def train(self, mode: bool = True) -> TunableEncoder:
        """Set the mode; a frozen encoder stays in evaluation mode."""
        # Dropout of a frozen encoder would make features random, and norms would change.
        return super().train(mode and not self.frozen)

    def load(self, path: str | Path, prefix: str | None = None) -> None:
        """See :class:`Loadable`; adapters stay as they are."""
        with self.base_alone():
            super().load(path, prefix)

    def init_weights(self) -> None:
        """See :class:`Loadable`; adapters stay as they are."""
        with self.base_alone():
            super().init_weights()

    @contextmanager
    def base_alone(self) -> Iterator[None]:
        """Be the network without adapters for a while."""
        detached = [(layer, layer.detach_adapters()) for layer in lora_layers(self)]
        try:
            yield
        finally:
            for layer, adapters in detached:
                LoRALinear.attach_adapters(layer, adapters)

    def merge_lora(self) -> None:
        """Add the adapters to the weights, which then stand for both."""
        for layer in lora_layers(self):
            layer.merge()
        self.lora = None

    def _load_from_state_dict(self, state: dict, prefix: str, *args: Any) -> None:
        """Refuse adapters of other weights; the encoder's own weights are loaded before."""
        if self.lora and prefix + BASE in state:
            # A test initializes no weights.
            self.init_weights()
            with self.base_alone():
                own = self.state_dict()
            told = {key: state.pop(prefix + key) for key in (BASE, SCALE)}
            self._check_base(own, told)
            # Nothing is missing.
            state.update({prefix + name: tensor for name, tensor in own.items()})
        super()._load_from_state_dict(state, prefix, *args)

    def _check_base(self, base: Mapping[str, Tensor], told: Mapping[str, Tensor]) -> None:
        names, own = [name for name, tensor in base.items() if is_told(tensor)], fingerprint(base)
        file = (self.init_cfg or {}).get('checkpoint', 'none')
        other = [] if told[BASE].shape == own.shape else names
        if not other:
            gap = (told[BASE].to(own) - own).abs()
            # The norm's is relative; the other number is one already.
            gap[:, 1] /= own[:, 1].clamp(min=1e-12)
            other = [name for name, (a, b) in zip(names, gap.tolist()) if max(a, b) > _TOLERANCE]
        if other:
            raise UserError(
                f'its adapters (lora) were trained with other weights than those of init_cfg '
                f'({file}): {len(other)} of {len(names)} tensors differ, such as {other[0]}; set '
                'model.backbone.init_cfg as in the training'
            )
        scale = float(told[SCALE])
        if abs(scale - self.lora.scale) > _TOLERANCE:
            raise UserError(
                f'its adapters were trained with alpha / rank = {scale:g}, the config has '
                f'{self.lora.scale:g}: set lora.alpha={scale * self.lora.rank:g}'
            )


def is_told(tensor: Tensor) -> bool:
    """Whether a fingerprint counts a tensor; counters and indices it leaves out."""
    return isinstance(tensor, Tensor) and tensor.is_floating_point()


@torch.no_grad()
def fingerprint(tensors: Mapping[str, Tensor]) -> Tensor:
    """Two numbers (T, 2) for each of T tensors: a direction, and the norm.

    Unlike a hash they change little where positions were resized on another machine.
    """
    rows = []
    for tensor in filter(is_told, tensors.values()):
        values = tensor.detach().flatten().float()
        norm = values.norm()
        # The cosine of the angle to a fixed wave, times a constant.
        wave = torch.arange(len(values), device=values.device, dtype=torch.float32).cos()
        rows.append(torch.stack([values @ wave / norm.clamp(min=1e-12), norm]))
    return torch.stack(rows).cpu()


def _keep_adapters(encoder: TunableEncoder, state: dict, prefix: str, metadata: dict) -> None:
    if not lora_layers(encoder):  # merged, or without its adapters for a while
        return
    base = {n: t for n, t in state.items() if n.startswith(prefix) and not is_adapter(n)}
    for name in base:
        del state[name]
    state[prefix + BASE] = fingerprint(base)
    state[prefix + SCALE] = torch.tensor(encoder.lora.scale)
