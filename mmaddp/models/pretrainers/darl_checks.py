"""Whether the options and the parts of a DARL fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from .darl import DARL


def check_options(model: DARL, patch_decoder: dict | None, tokenizer: dict | None) -> None:
    """Refuse options that contradict each other.

    Raises:
        ValueError: Names the options and the remedy.
    """
    if model.prediction == 'epsilon' and model.noise is None:
        raise ValueError("prediction='epsilon': there is no noise to predict; set noise")
    if model.target == 'tokens' and model.noise is not None:
        raise ValueError("target='tokens': tokens cannot be corrupted by noise; set noise=None")
    wanted = 'tokens' in (model.target, model.inputs)
    options = f"target='{model.target}', inputs='{model.inputs}'"
    if wanted and not tokenizer:
        raise ValueError(f"{options}: set tokenizer=dict(type='mmaddp.VQGAN', init_cfg=...)")
    if tokenizer and not wanted:
        raise ValueError(f'{options} use no tokens: remove tokenizer')
    given = {'embed_dims', 'patch_dims'} & set(patch_decoder or ())
    if given:
        raise ValueError(f'patch_decoder.{min(given)} follows from the backbone: remove it')


def check_backbone(backbone: nn.Module, random_order: bool) -> None:
    """Refuse a backbone that cannot predict the next patch.

    Raises:
        ValueError: Names the option and the remedy.
    """
    if not hasattr(backbone, 'predict_next'):
        raise ValueError(f"backbone.type='{type(backbone).__name__}': set it to 'mmaddp.DARLViT'")
    if not backbone.num_prefix_tokens:
        raise ValueError(
            'backbone.with_start_token=False: the first patch is predicted from the start token; '
            'set backbone.with_start_token=True'
        )
    if not backbone.is_last(backbone.out_indices[-1]):
        raise ValueError(
            f'backbone.out_indices={tuple(backbone.out_indices)}: the blocks behind are frozen, '
            'and pre-training predicts from the last one: leave backbone.out_indices out'
        )
    if random_order and not backbone.two_stream:
        raise ValueError(
            'random_order=True: only a query stream knows which patch comes next; set '
            'backbone.two_stream=True'
        )


def check_parts(model: DARL) -> None:
    """Refuse parts that do not fit each other.

    Raises:
        ValueError: Names the options and the remedy.
    """
    decoder, patch_size = type(model.patch_decoder).__name__, model.backbone.patch_size
    if model.patch_decoder.noisy and model.noise is None:
        raise ValueError(
            f'patch_decoder: this {decoder} takes corrupted patches, which only the diffusion '
            'objective has: set noise, or take an MLPPatchDecoder with noisy=False'
        )
    if model.noise is not None and not model.patch_decoder.noisy:
        raise ValueError(
            f'noise: this {decoder} does not take corrupted patches: set '
            'patch_decoder.noisy=True, take a TransformerPatchDecoder, or set noise=None'
        )
    stride = model.tokenizer.stride if model.tokenizer is not None else patch_size
    if patch_size != stride:
        raise ValueError(
            f'backbone.patch_size={patch_size}: a token of the tokenizer is {stride} x {stride} '
            f'pixels; set backbone.patch_size={stride}'
        )
