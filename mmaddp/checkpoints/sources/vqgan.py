"""The VQGAN that MAGE and ADDP tokenize with: five resolutions, two residual blocks each.

Our module has the authors' names. Symbols: W channels at full resolution, K codes of E channels.
The shortcuts act behind the first convolution, so they take as many channels as they give.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..rules import Rule, Source, keep

WIDTHS = ('W', 'W', '2W', '2W', '4W')
BLOCKS = 2


def tokenizer(keys: Collection[str], target: str = '') -> list[Rule]:
    """Encoder, decoder and codebook."""
    return [keep(name, target + name, shape, 'tokenizer') for name, shape in layout()]


def layout() -> Iterator[tuple[str, str]]:
    """Names and shapes of all tensors."""
    yield 'encoder.conv_in.weight', 'W 3 3 3'
    yield from stack('encoder.down', ('W', *WIDTHS[:-1]), WIDTHS)
    yield from ends('encoder', WIDTHS[-1])
    yield 'encoder.conv_out.weight', 'E 4W 1 1'
    yield 'encoder.conv_out.bias', 'E'
    yield 'decoder.conv_in.weight', '4W E 3 3'
    yield 'decoder.conv_in.bias', '4W'
    yield from stack('decoder.up', (*WIDTHS[1:], WIDTHS[-1]), WIDTHS)
    for level in range(1, len(WIDTHS)):
        yield from convolution(f'decoder.up.{level}.upsample.conv', WIDTHS[level])
    yield from ends('decoder', WIDTHS[0])
    yield 'decoder.conv_out.weight', '3 W 3 3'
    yield 'decoder.conv_out.bias', '3'
    yield 'quantize.embedding.weight', 'K E'


def stack(name: str, widths_in: tuple[str, ...], widths_out: tuple[str, ...]) -> Iterator:
    """The residual blocks of all resolutions; the first of each changes the channels."""
    for level, (before, after) in enumerate(zip(widths_in, widths_out)):
        for block in range(BLOCKS):
            yield from residual_block(f'{name}.{level}.block.{block}', before, after)
            before = after


def ends(name: str, width: str) -> Iterator[tuple[str, str]]:
    """The middle blocks at the lowest resolution and the norm before the last convolution."""
    for block in ('block_1', 'block_2'):
        yield from residual_block(f'{name}.mid.{block}', WIDTHS[-1], WIDTHS[-1])
    yield f'{name}.norm_out.weight', width
    yield f'{name}.norm_out.bias', width


def residual_block(name: str, before: str, after: str) -> Iterator[tuple[str, str]]:
    """Two norms, two convolutions without bias, and a shortcut where the channels change."""
    for norm, width in (('norm1', before), ('norm2', after)):
        yield f'{name}.{norm}.weight', width
        yield f'{name}.{norm}.bias', width
    yield f'{name}.conv1.weight', f'{after} {before} 3 3'
    yield f'{name}.conv2.weight', f'{after} {after} 3 3'
    if before != after:
        yield f'{name}.nin_shortcut.weight', f'{after} {after} 1 1'


def convolution(name: str, width: str) -> Iterator[tuple[str, str]]:
    """A 3 x 3 convolution that keeps its channels."""
    yield f'{name}.weight', f'{width} {width} 3 3'
    yield f'{name}.bias', width


VQGAN = Source(
    'vqgan',
    'encoder.down.*, decoder.up.* and quantize.embedding.* (the tokenizer alone)',
    lambda keys: {'quantize.embedding.weight', 'encoder.down.0.block.0.conv1.weight'} <= set(keys),
    {
        'pretrain': lambda keys: tokenizer(keys, 'tokenizer.'),
        'tokenizer': tokenizer,
    },
)
