"""DDAE's UNets: the training files of its authors, and the networks in this package's names.

The authors save 'MODEL', the weights of the last step, and 'EMA', their moving average, which
they generate and probe with; what stands in each is told apart by that word in front of its name.
Which layer is what, and where attention and shortcuts are, the names tell. Symbols: B channels of
the first convolution, I of the image, A numbers that tell of an augmentation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from enum import Enum

from mmaddp.utils import UserError

from ..rules import Rule, Source, drop, keep

AVERAGE = 'EMA.ema_model.nn_model.'
# Where a checkpoint of ours has the network: a pre-training, a transfer, a file of its own.
OWN_PREFIXES = ('network.', 'backbone.', '')
AUGMENT, PUBLISHED_AUGMENT = 'time_embed.augment.weight', 'time_emb.aug_emb.weight'
OUTPUT_PREFIXES = ('norm_out.', 'conv_out.')


class Kind(Enum):
    """What a layer on the way down or up is."""

    BLOCK = 'a residual block, with attention or without'
    CONVOLUTION = 'a convolution that changes the resolution'
    RESAMPLING_BLOCK = 'a residual block that changes the resolution'


# Name in the authors' files, name in DDAEUNet, and sizes as rules have them.
Name = tuple[str, str, str]

KINDS = {'res': Kind.BLOCK, 'attn': Kind.BLOCK, 'conv': Kind.CONVOLUTION}


def stack_kinds(keys: Collection[str], stack: str) -> list[Kind]:
    """The kinds of the layers of a stack, 'down' or 'up', told by the names below each.

    One of which no name is there counts as a residual block, so that its tensors are missed.
    """
    kinds: dict[int, Kind] = {}
    for key in keys:
        found = re.fullmatch(rf'{re.escape(stack)}\.(\d+)\.(\w+)\..+', key)
        if found:
            kinds[int(found[1])] = KINDS.get(found[2], Kind.RESAMPLING_BLOCK)
    count = min(max(kinds, default=-1) + 1, len(keys))
    return [kinds.get(index, Kind.BLOCK) for index in range(count)]


def layout(keys: Collection[str], whole: bool) -> Iterator[tuple[str, Iterator[Name]]]:
    """The tensors of a network, part by part.

    Args:
        keys: The names that it has, the authors' or ours: below each layer both tell the same.
        whole: Whether it ends in a prediction.
    """
    down, up = down_widths(keys), up_widths(keys)
    yield 'input', pair('image_proj', 'conv_in', 'B I 3 3')
    yield 'time embedding', pair('time_emb.lin1', 'time_embed.fc1', '4B B')
    yield 'time embedding', pair('time_emb.lin2', 'time_embed.fc2', '4B 4B')
    if {PUBLISHED_AUGMENT, AUGMENT} & set(keys):
        yield 'time embedding', iter([(PUBLISHED_AUGMENT, AUGMENT, 'B A')])
    yield 'way down', stack(keys, 'down', down)
    yield 'middle', middle(last_width(down))
    yield 'way up', stack(keys, 'up', up)
    if whole:
        yield 'output', pair('norm', 'norm_out', last_width(up))
        yield 'output', pair('final', 'conv_out', f'I {last_width(up)} 3 3')


def down_widths(keys: Collection[str]) -> list[tuple[str, str]]:
    """Symbols of the channels into and out of each layer on the way down.

    They change where a block has a shortcut, and nowhere else.
    """
    widths, width = [], 'B'
    for index in range(len(stack_kinds(keys, 'down'))):
        before, width = width, f'D{letters(index)}' if widens(keys, 'down', index) else width
        widths.append((before, width))
    return widths


def up_widths(keys: Collection[str]) -> list[tuple[str, str]]:
    """Symbols of the channels into and out of each layer on the way up.

    A block is given what comes across as well, so all of them have shortcuts.
    """
    widths, width = [], 'U'
    for index, kind in enumerate(stack_kinds(keys, 'up')):
        if kind is Kind.BLOCK:
            width = f'U{letters(index)}'
        widths.append((f'S{letters(index)}' if kind is Kind.BLOCK else width, width))
    return widths


def last_width(widths: list[tuple[str, str]]) -> str:
    """The symbol of the channels behind a stack."""
    return widths[-1][1] if widths else 'B'


def widens(keys: Collection[str], stack: str, index: int) -> bool:
    """Whether a block has a convolution in its shortcut."""
    return any(key.startswith(f'{stack}.{index}.res.shortcut.') for key in keys)


def letters(index: int) -> str:
    """A number with a letter for each digit, since symbols have no digits."""
    return ''.join(chr(ord('a') + int(digit)) for digit in str(index))


def stack(keys: Collection[str], name: str, widths: list[tuple[str, str]]) -> Iterator[Name]:
    """The layers on the way down or up."""
    for index, (kind, (before, after)) in enumerate(zip(stack_kinds(keys, name), widths)):
        layer = f'{name}.{index}'
        if kind is Kind.CONVOLUTION:
            yield from pair(f'{layer}.conv', f'{layer}.conv', f'{after} {after} 3 3')
        elif kind is Kind.RESAMPLING_BLOCK:
            yield from res_block(f'{layer}.op', layer, before, after)
        else:
            yield from res_block(f'{layer}.res', f'{layer}.res', before, after)
            if any(key.startswith(f'{layer}.attn.') for key in keys):
                yield from attention(f'{layer}.attn', f'{layer}.attn', after)


def middle(width: str) -> Iterator[Name]:
    """Two blocks, the first with attention."""
    yield from res_block('middle.res1', 'middle.0.res', width, width)
    yield from attention('middle.attn', 'middle.0.attn', width)
    yield from res_block('middle.res2', 'middle.1.res', width, width)


def res_block(authors: str, ours: str, before: str, after: str) -> Iterator[Name]:
    """A residual block, with a shortcut where the channels change."""
    yield from pair(f'{authors}.norm1', f'{ours}.norm1', before)
    yield from pair(f'{authors}.conv1', f'{ours}.conv1', f'{after} {before} 3 3')
    yield from pair(f'{authors}.time_emb.1', f'{ours}.time', f'{after} 4B')
    yield from pair(f'{authors}.norm2', f'{ours}.norm2', after)
    yield from pair(f'{authors}.conv2.1', f'{ours}.conv2', f'{after} {after} 3 3')
    if before != after:
        yield from pair(f'{authors}.shortcut', f'{ours}.shortcut', f'{after} {before} 1 1')


def attention(authors: str, ours: str, width: str) -> Iterator[Name]:
    """Attention with one head."""
    yield from pair(f'{authors}.norm', f'{ours}.norm', width)
    yield from pair(f'{authors}.projection', f'{ours}.qkv', f'3{width} {width}')
    yield from pair(f'{authors}.output', f'{ours}.proj', f'{width} {width}')


def pair(authors: str, ours: str, shape: str) -> Iterator[Name]:
    """Weight and bias of a layer."""
    yield f'{authors}.weight', f'{ours}.weight', shape
    yield f'{authors}.bias', f'{ours}.bias', shape.split()[0]


def published(keys: Collection[str], target: str = '') -> list[Rule]:
    """The averaged network of a training file.

    Raises:
        UserError: The file holds no average.
    """
    names = below(keys, AVERAGE)
    if not names:
        raise UserError(
            'it holds no EMA weights, which are the ones to use: name a training file with '
            "'ema_model.nn_model.*' under 'EMA'"
        )
    return [
        *(
            keep(AVERAGE + authors, target + ours, shape, part)
            for part, tensors in layout(names, whole=True)
            for authors, ours, shape in tensors
        ),
        drop('EMA.online_model.{rest}', 'last step', 'its moving average is used'),
        drop('MODEL.{rest}', 'last step', 'its moving average is used'),
        drop('EMA.initted', 'state of the average', 'only training uses it'),
        drop('EMA.step', 'state of the average', 'only training uses it'),
    ]


def unet_prefix(keys: Collection[str]) -> str | None:
    """Where a file of ours has a UNet; None when it is nowhere."""
    marks = ('conv_in.weight', 'time_embed.fc1.weight')
    for prefix in OWN_PREFIXES:
        if all(prefix + mark in keys for mark in marks):
            return prefix
    return None


def own(keys: Collection[str], source: str, target: str) -> list[Rule]:
    """A network in our names between two prefixes, whole or truncated."""
    names = below(keys, source)
    whole = any(name.startswith(OUTPUT_PREFIXES) for name in names)
    return [
        keep(source + ours, target + ours, shape, part)
        for part, tensors in layout(names, whole)
        for _, ours, shape in tensors
    ]


def below(keys: Collection[str], prefix: str) -> set[str]:
    """The names that begin with a prefix, without it."""
    return {key[len(prefix) :] for key in keys if key.startswith(prefix)}


DDAE = Source(
    'ddae',
    "EMA.ema_model.nn_model.* and MODEL.* (training files, 'EMA' and 'MODEL')",
    lambda keys: any(key.startswith(('EMA.', 'MODEL.')) for key in keys),
    {
        'backbone': published,
        'pretrain': lambda keys: published(keys, 'network.'),
    },
)
