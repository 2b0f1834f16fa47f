"""What an encoder costs, as numbers from its sizes."""

import pytest

from mmaddp.experiments.costs import FLOPS, encoder_flops
from mmaddp.models import ADDPViT, DDAEDiT


@pytest.mark.generations
def test_flops_are_those_of_the_matrix_products():
    width, blocks, patches = 32, 2, 16
    arch = dict(embed_dims=width, num_layers=blocks, num_heads=2)
    encoder = ADDPViT(arch, img_size=32, patch_size=8)
    tokens = patches + 1  # and the class token
    embedding = patches * width * 3 * 8 * 8
    # Queries, keys and values, the projection, and an MLP four times as wide.
    layers = tokens * width * width * (3 + 1 + 4 + 4)
    attention = 2 * tokens * tokens * width  # logits, and sums of values
    expected = 2 * (embedding + blocks * (layers + attention))
    assert encoder_flops(encoder, (32, 32)) == {FLOPS: pytest.approx(expected / 1e9)}


def test_flops_of_a_denoising_network_do_not_depend_on_its_time():
    arch = dict(embed_dims=32, num_layers=2, num_heads=2)
    sizes = dict(input_size=32, patch_size=8, in_channels=3, num_classes=1, learn_sigma=False)
    # A probe of several noise levels builds it without a time.
    probed = DDAEDiT(arch, **sizes)
    at_a_time = DDAEDiT(arch, **sizes, out_blocks=['layer-1'], time=121)
    flops = encoder_flops(probed, (32, 32))
    assert flops[FLOPS] > 0
    assert flops == encoder_flops(at_a_time, (32, 32))
