"""ADDP whose parts are compiled."""

import pytest
import torch
from tiny_addp import ARCH, SIZES, random_ids, random_mask, tiny_addp
from torch._dynamo.utils import counters


def fix_masks(model, masked, masked_next):
    masks = random_mask(masked), random_mask(masked_next)
    model.sample_masks = lambda *_: masks


@torch.no_grad()
def test_compiled_it_gives_the_same_loss_at_every_mask_ratio():
    """The decoder sees another number of tokens at each ratio."""
    arch = dict(ARCH, num_layers=1)
    parts = dict(
        encoder=dict(type='mmaddp.ADDPViT', arch=arch, img_size=64),
        decoder=dict(type='mmaddp.ADDPDecoder', **arch, **SIZES),
        token_predictor=dict(type='mmaddp.MAGE', encoder=arch, decoder=arch, **SIZES),
    )
    losses = []
    for compile in (None, dict(backend='aot_eager')):
        model = tiny_addp(compile=compile, **parts)
        for masks in ((8, 11), (13, 16)):
            fix_masks(model, *masks)
            losses.append(model(random_ids(), mode='loss')['loss'].item())
    assert counters['stats']['unique_graphs'] >= 4  # the blocks of three parts, and the VQ-Decoder
    assert losses[2:] == pytest.approx(losses[:2], abs=1e-5)
    assert losses[0] != pytest.approx(losses[1], abs=1e-5)
