"""This package's own files: converted ones, and checkpoints of its training runs.

Their names are those of the modules, so that the registered classes recognize them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mmaddp.utils import UserError

from ..judge import class_of
from ..rules import PARTS, Rule, Source, Tensors, drop, keep, under
from .addp import official, official_extras, token_encoder

# Where a model has its encoder; '' is a file of its own.
ENCODERS = ('backbone.', 'encoder.', 'network.', '')
OTHERS = 'another network has its own'
QUERY_STREAM = 'only pre-training with two streams asks it'


def prefix_of(tensors: Tensors, part: str) -> str | None:
    """Where a part stands, '' in a file of its own; None when it is nowhere."""
    for prefix in ENCODERS if part == 'backbone' else (f'{part}.', ''):
        if class_of(under(tensors, prefix), part):
            return prefix
    return None


def is_own(tensors: Tensors) -> bool:
    """Whether a registered class has these names, for an encoder or another part."""
    return any(prefix_of(tensors, part) is not None for part in ('backbone', *PARTS))


def backbone(tensors: Tensors) -> list[Rule]:
    """The encoder of a backbone file or of a whole model; a network of another library as it is.

    Raises:
        UserError: There is none.
    """
    prefix = prefix_of(tensors, 'backbone')
    # No class of ours has these names: a network of timm, transformers or diffusers.
    for other in ('encoder.', 'unet.'):
        if prefix is None and any(key.startswith(other) for key in tensors):
            prefix = other if other == 'encoder.' else ''
    if prefix is None and prefix_of(tensors, 'token_predictor') is not None:
        # A token predictor's encoder reads tokens, as MAGEViT does.
        names = (f'token_embed.{name}' for name in ('word', 'position', 'norm'))
        prefix = prefix_of(tensors, 'token_predictor')
        return [*token_encoder(*names, prefix), *drop_others()]
    if prefix is None:
        raise UserError('it holds no encoder')
    rows = {
        'embed_norm.{rest}': 'embedding norm',
        'norm.{rest}': 'final norm',
        'query_token': 'query stream',
        'blocks.{i}.attn.query.{rest}': 'query stream',
        '{rest}': 'encoder',
    }
    return [
        # DINO and iBOT keep the encoder in names like ours, with the token that masks patches.
        keep(f'{prefix}mask_token', 'mask_token', 'decoder', why='only pre-training masks'),
        *(keep(prefix + name, name, part) for name, part in rows.items()),
        *drop_others(),
    ]


def drop_others() -> Sequence[Rule]:
    """What stands outside the part that is wanted."""
    return [drop('{rest}', '', OTHERS)]


def part_alone(tensors: Tensors, part: str) -> list[Rule]:
    """One part of a pre-training, under the names of its module.

    Raises:
        UserError: The file holds no such part.
    """
    prefix = prefix_of(tensors, part)
    if prefix is None:
        raise UserError(f'it holds no {part}')
    return [keep(f'{prefix}{{rest}}', '{rest}', part), *drop_others()]


def authors(tensors: Tensors) -> list[Rule]:
    """A whole pre-training under the authors' names.

    Raises:
        UserError: The file lacks a frozen part, as a training checkpoint does.
    """
    # The authors' code loads whole files only.
    lacking = [part for part in PARTS if not class_of(under(tensors, f'{part}.'), part)]
    if lacking:
        options = ' '.join(f'--{part.replace("_", "-")} FILE' for part in lacking)
        raise UserError(
            f'it lacks {" and ".join(lacking)}, and training checkpoints hold no frozen parts: '
            f'add them with {options}'
        )
    return official()


WHOLE = [keep('{rest}', part='')]

MMADDP = Source(
    'mmaddp',
    license='',
    marks=is_own,
    tables={
        'backbone': backbone,
        'detector': WHOLE,
        'pretrain': WHOLE,
        **{part: partial(part_alone, part=part) for part in PARTS},
        'official': authors,
    },
    any_network=True,
    added=official_extras,
)
