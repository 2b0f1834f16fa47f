"""Trainings of a tokenizer and a token predictor from scratch, of a second or two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from tiny_addp import ARCH, pretraining

CODES = 32
TOKENIZER = dict(
    type='mmaddp.VQGAN', base_channels=8, embed_dims=8, num_embeddings=CODES, norm_groups=2
)
DISCRIMINATOR = dict(type='mmaddp.PatchDiscriminator', base_channels=16, num_layers=1)


def vqgan_trainer(adversarial: bool = False, **settings: Any) -> dict:
    """Config of a tiny tokenizer's trainer; ``settings`` replace its options."""
    discriminator = dict(discriminator=DISCRIMINATOR) if adversarial else {}
    return dict(type='mmaddp.VQGANTrainer', tokenizer=TOKENIZER, **discriminator, **settings)


def mage_trainer(num_patches: int = 16, **settings: Any) -> dict:
    """Config of a tiny token predictor's trainer; ``settings`` replace its options."""
    sizes = dict(num_patches=num_patches, num_embeddings=CODES)
    predictor = dict(type='mmaddp.MAGE', encoder=ARCH, decoder=ARCH, drop_rate=0.1, **sizes)
    return dict(
        dict(type='mmaddp.MAGETrainer', tokenizer=TOKENIZER, token_predictor=predictor), **settings
    )


def adversarial_training(images: Path, work_dir: Path, **settings: Any) -> Config:
    """12 iterations of a tokenizer, against a discriminator from the third on.

    A checkpoint is written every third, so the game is on in all that a resumed run repeats.
    """
    config = pretraining(images, work_dir, by_epoch=False)
    config.model = vqgan_trainer(adversarial=True, adversarial_start=2)
    config.model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
    part = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.9)))
    config.optim_wrapper = dict(
        constructor='mmaddp.PartsOptimWrapperConstructor', tokenizer=part, discriminator=part
    )
    config.merge_from_dict(settings)
    return config
