"""Modules that ``init_cfg`` fills from any checkpoint file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.model import BaseModule

from mmaddp.checkpoints import WeightRules, load_weights
from mmaddp.checkpoints.rules import Tensors


class Loadable(BaseModule):
    """A module that ``init_cfg=dict(type='Pretrained', checkpoint=PATH)`` fills from any file.

    Attributes:
        part: What of a file it takes: 'backbone', 'tokenizer', 'token_predictor' or 'decoder'.
        transfer_settings: Constructor arguments that leave out what only pre-training uses.
        weight_rules: What it makes of weights that are not quite its own.
    """

    part = ''
    transfer_settings: dict = {}
    weight_rules: WeightRules | None = None

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """Constructor arguments that fit weights in this class's names; None for other names.

        Sizes are taken from the majority of the tensors that tell them, so that weights with
        missing or misshapen tensors are told too.
        """
        return None

    def load(self, path: str | Path) -> None:
        """Load a published file, a converted one or a checkpoint of ours.

        Raises:
            UserError: The file cannot be read or does not fit. Nothing is loaded then.
        """
        load_weights(self, path, self.part)

    def init_parameters(self) -> None:
        """Initialize the weights before those of ``init_cfg``; as PyTorch does by default."""

    def init_weights(self) -> None:
        """Initialize the weights, then load those of ``init_cfg``, if any."""
        if self.is_init:
            return
        self.init_parameters()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            self.load(self.init_cfg['checkpoint'])
            self._is_init = True
        else:
            super().init_weights()
