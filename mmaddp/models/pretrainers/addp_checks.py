"""Whether the parts of an ADDP fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mmaddp.utils import UserError

if TYPE_CHECKING:
    from .addp import ADDP


def check_parts(model: ADDP) -> None:
    """Refuse parts whose sizes do not fit each other.

    Raises:
        UserError: Codes or places differ, or the encoder cannot take tokens; names the options.
    """
    codes = {'tokenizer': model.tokenizer.num_embeddings}
    codes['decoder'] = model.decoder.vocabulary.num_codes
    places = {'decoder': model.decoder.num_patches}
    if model.token_predictor is not None:
        codes['token_predictor'] = model.token_predictor.vocabulary.num_codes
        places['token_predictor'] = model.token_predictor.num_patches
    for option, sizes in (('num_embeddings', codes), ('num_patches', places)):
        if len(set(sizes.values())) > 1:
            told = ', '.join(f'{part} has {size}' for part, size in sizes.items())
            raise UserError(f'{option} must be the same in all parts of model: {told}')
    if model.token_input == 'encoder+decoder':
        takes_tokens = hasattr(model.encoder, 'forward_tokens')
        if not takes_tokens or model.encoder.embed_dims != model.decoder.embed_dims:
            raise UserError(
                "token_input='encoder+decoder' wants a plain ViT as wide as the decoder: set "
                'decoder.embed_dims to that of the encoder'
            )
    if hasattr(model.encoder, 'forward_tokens'):
        check_width(model.decoder, model.encoder.embed_dims)


def check_compile_options(options: object) -> None:
    """Refuse what is not a dict of ``torch.compile``'s arguments."""
    if not isinstance(options, dict):
        raise UserError(
            f"compile={options!r}: must be a dict of torch.compile's arguments: set "
            "model.compile.mode='default'"
        )


def check_width(decoder: nn.Module, width: int) -> None:
    """Refuse features of another number of channels than the decoder takes."""
    if width != decoder.embed.in_features:
        raise UserError(
            f'the encoder gives {width} channels, the decoder takes {decoder.embed.in_features}: '
            f'set decoder.in_channels={width}'
        )
