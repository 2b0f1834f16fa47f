"""Modules that a pre-training uses and never trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.utils import UserError, check_choice, refuse_if

EMBEDDING_STD = 0.02  # as of random rows, see init_parameters
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


class FrozenParts(nn.Module):
    """Keeps some children frozen: no training, no gradients, no checkpoints.

    Frozen children stay in evaluation mode. ``state_dict()`` leaves them out, and
    DistributedDataParallel ignores them. Their own ``init_cfg`` fills them, or a checkpoint that
    holds all tensors of a part. ``loaded_parts`` names the parts that ``load_state_dict`` filled.
    """

    frozen_parts: tuple[str, ...] = ()

    def freeze(self, *names: str) -> None:
        """Freeze children by name. Call it once, when they exist."""
        self.frozen_parts = names
        self.loaded_parts: set[str] = set()
        for name in names:
            self.get_submodule(name).requires_grad_(False)
        # DistributedDataParallel reads this attribute.
        self._ddp_params_and_buffers_to_ignore = list(self.frozen_state())
        self._register_state_dict_hook(_without_frozen)
        self.register_load_state_dict_post_hook(_note_whole_parts)
        # Switches the frozen children to evaluation mode.
        self.train(self.training)

    def frozen_state(self) -> dict[str, Any]:
        """Names and tensors of the frozen children, as :meth:`state_dict` would name them."""
        return {
            f'{part}.{name}': tensor
            for part in self.frozen_parts
            for name, tensor in self.get_submodule(part).state_dict().items()
        }

    def check_parts(self, names: Sequence[str], key: str = 'model') -> None:
        """Refuse to use frozen children with random weights.

        Any ``init_cfg`` that has run counts, so that a config can ask for a random part.

        Args:
            names: Children.
            key: Where the config has this model.

        Raises:
            UserError: Neither ``init_cfg`` nor a file has filled a part; names the key.
        """
        for name in names:
            part = self.get_submodule(name)
            # MMEngine sets is_init once it has applied init_cfg.
            initialized = getattr(part, 'init_cfg', None) and part.is_init
            if not initialized and name not in self.loaded_parts:
                raise UserError(
                    f'{key}.{name}.init_cfg is not set and no file that was loaded holds the '
                    f'{name}, which would stay random: set {key}.{name}.init_cfg='
                    "dict(type='Pretrained', checkpoint=…), also to resume"
                )

    def train(self, mode: bool = True) -> FrozenParts:
        """Set the mode; the frozen children stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen_parts:
            self.get_submodule(part).eval()
        return self


class FrozenTokenizer(FrozenParts):
    """A pre-training on the tokens of a frozen ``tokenizer``; subclasses have ``num_patches``."""

    frozen_dtype: torch.dtype | None = None
    num_patches: int

    def set_frozen_dtype(self, name: str | None) -> None:
        """Set the precision of the frozen parts by name; None for the precision of the rest."""
        check_choice('frozen_dtype', name, (None, *DTYPES))
        self.frozen_dtype = name and DTYPES[name]

    @torch.no_grad()
    def start_from_codes(self, learner: BaseModule, table: nn.Embedding) -> None:
        """Fill the rows of the K codes from the codebook, projected at random to their width.

        Codes that decode alike then start with rows that are alike. Random rows learn slowly: they
        score outputs, but learn as inputs only.

        Args:
            learner: The part that learns. It keeps its rows if ``init_cfg`` has filled it.
            table: Its embeddings, those of the codes first.
        """
        if self.init_cfg or learner.init_cfg:
            return
        codes = self.tokenizer.codebook  # (K, E)
        codes = (codes - codes.mean(0)) / codes.std()
        projection = torch.randn(codes.shape[1], table.embedding_dim) / codes.shape[1] ** 0.5
        table.weight[: len(codes)] = EMBEDDING_STD * codes @ projection

    @property
    def grid(self) -> tuple[int, int]:
        """A square of VQ tokens."""
        return (math.isqrt(self.num_patches),) * 2

    @property
    def stride(self) -> int:
        """Pixels of a token."""
        return self.tokenizer.stride

    @staticmethod
    def check_agreement(option: str, sizes: dict[str, int]) -> None:
        """Refuse parts of different sizes. Other ids would silently stand for classes."""
        listed = ', '.join(f'{part} has {size}' for part, size in sizes.items())
        message = f'{option} must be the same in all parts of model: {listed}'
        refuse_if((len(set(sizes.values())) > 1, message))

    def check_filled(self) -> None:
        """Refuse to train on a frozen part with random weights."""
        self.check_parts(self.frozen_parts)

    @torch.no_grad()
    def tokenize(self, inputs: Tensor) -> Tensor:
        """z_0 = VQ-Encoder(x_0) (algorithm 1, line 5); token ids are returned as they are.

        Args:
            inputs: (B, 3, H, W) in [0, 1], or token ids (B, N).

        Returns:
            (B, N), int64.

        Raises:
            UserError: The images do not have the size of the model's grid of tokens.
        """
        # Integers are tokens computed ahead.
        if not inputs.is_floating_point():
            return inputs.long()
        # Token positions are learned for one grid.
        height, width = inputs.shape[-2:]
        side = math.isqrt(self.num_patches) * self.tokenizer.stride
        if (height, width) != (side, side):
            raise UserError(
                f'images of {height} x {width} pixels, the model has num_patches='
                f'{self.num_patches}, {side} x {side} pixels: crop them to that in the pipeline'
            )
        with self.frozen_precision(inputs.device):
            return self.tokenizer.encode(inputs)

    @contextmanager
    def frozen_precision(self, device: torch.device) -> Iterator[None]:
        """Run the frozen parts in their own precision."""
        if self.frozen_dtype is None:
            yield
            return
        # For float32, switch off the autocast of the rest.
        reduced = self.frozen_dtype != torch.float32
        with torch.autocast(device.type, self.frozen_dtype if reduced else None, enabled=reduced):
            yield


def _without_frozen(module: FrozenParts, state: dict, prefix: str, metadata: dict) -> None:
    for name in module.frozen_state():
        state.pop(prefix + name, None)


def _note_whole_parts(module: FrozenParts, incompatible: Any) -> None:
    """Note the parts that a file holds whole; do not report those it lacks whole as missing."""
    # A sharded model puts its name in front of missing keys.
    absent = {name: name.replace('_fsdp_wrapped_module.', '') for name in incompatible.missing_keys}
    for part in module.frozen_parts:
        names = {f'{part}.{name}' for name in module.get_submodule(part).state_dict()}
        missing = {name for name in absent.values() if name.startswith(f'{part}.')}
        if not missing:
            module.loaded_parts.add(part)
        elif missing >= names:  # a frozen part may have frozen parts of its own
            kept = [name for name in incompatible.missing_keys if absent[name] not in missing]
            incompatible.missing_keys[:] = kept
