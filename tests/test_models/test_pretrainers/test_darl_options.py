"""DARL's defaults are the paper's, and what contradicts itself is refused in one line."""

import pytest
import torch
from tiny_darl import NOISE, TOKENIZER, darl, tiny_darl

from mmaddp.models import MLPPatchDecoder, TransformerPatchDecoder
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

LINEAR = dict(type='mmaddp.MLPPatchDecoder')
TRANSFORMER = dict(type='mmaddp.TransformerPatchDecoder')


def test_default_decoders_are_the_papers():
    """Section 3.1: a linear layer; with noise one transformer block without gamma."""
    linear = tiny_darl().patch_decoder
    assert isinstance(linear, MLPPatchDecoder)
    assert len(linear.layers) == 0
    transformer = tiny_darl(noise=NOISE).patch_decoder
    assert isinstance(transformer, TransformerPatchDecoder)
    assert len(transformer.blocks) == 1
    assert not transformer.condition_on_gamma
    tokens = tiny_darl(tokenizer=TOKENIZER, inputs='tokens', target='tokens')
    assert tokens.patch_decoder.head.out_features == 32


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(noise=dict(a=-1)), r'noise\.a=-1: must be 0 or more'),
        (dict(noise=dict(a=0.03, b=-1)), r'noise\.b=-1: must be 0 or more'),
        (dict(prediction='epsilon'), "prediction='epsilon': .*set noise"),
        (dict(noise=NOISE, patch_decoder=LINEAR), r'patch_decoder\.noisy=True'),
        (dict(patch_decoder=TRANSFORMER), 'set both noise and'),
        (dict(patch_decoder=dict(LINEAR, noisy=True)), 'set both noise and'),
        (dict(target='tokens'), "target='tokens'.*set tokenizer"),
        (dict(inputs='tokens'), "inputs='tokens'.*set tokenizer"),
        (dict(tokenizer=TOKENIZER), "set tokenizer if one of them is 'tokens', and only then"),
        (
            dict(tokenizer=TOKENIZER, target='tokens', backbone=dict(patch_size=8)),
            r'covers 16 pixels; set backbone\.patch_size=16',
        ),
        (dict(backbone=dict(out_indices=(0,))), r'backbone\.out_indices=\(0,\).*remove'),
        (dict(backbone=dict(img_size=18)), '18'),
        (dict(backbone=dict(order='round-robin', block_size=3)), 'is invalid for input of size'),
    ],
)
def test_options_that_contradict_each_other(options, message):
    """One line that names the option, as the runner shows it."""
    with pytest.raises((ValueError, RuntimeError), match=message) as caught:
        MODELS.build(darl(**options))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('option', ['prediction', 'target', 'inputs'])
def test_options_that_do_not_exist(option):
    with pytest.raises(UserError, match=f"{option}='velocity' is none of"):
        MODELS.build(darl(**{option: 'velocity'}))


@pytest.mark.parametrize('tokens', [None, 'target', 'inputs'])
def test_images_that_patches_do_not_fill(tokens):
    options = {tokens: 'tokens', 'tokenizer': TOKENIZER} if tokens else {}
    model = tiny_darl(**options)
    with pytest.raises((UserError, RuntimeError), match=r'images of 18 x 16 pixels|unflatten'):
        model(torch.zeros(1, 3, 18, 16), mode='loss')
