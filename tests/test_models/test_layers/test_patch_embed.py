"""Patches hold the pixels of their position, by row, column and channel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.models.layers import PatchEmbed, patch_statistics, patchify, unpatchify

sides = st.integers(1, 4)


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_values_of_a_patch():
    pixels = images(2, 3, 8, 12)
    patches = patchify(pixels, 4)
    assert patches.shape == (2, 6, 48)
    for number, (row, column) in enumerate(np.ndindex(2, 3)):
        square = pixels[1, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(patches[1, number].view(4, 4, 3), square.permute(1, 2, 0))


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)
)
def test_inverse(batch, rows, columns, patch_size, channels):
    pixels = images(batch, channels, rows * patch_size, columns * patch_size)
    patches = patchify(pixels, patch_size)
    assert torch.equal(unpatchify(patches, (rows, columns), patch_size), pixels)


def test_same_positions_as_the_embedding():
    """The convolution of PatchEmbed is a linear layer on these patches."""
    embed = PatchEmbed(4, 3, 8)
    pixels = images(2, 3, 8, 12)
    weight = embed.proj.weight.permute(0, 2, 3, 1).flatten(1)
    expected = torch.nn.functional.linear(patchify(pixels, 4), weight, embed.proj.bias)
    torch.testing.assert_close(embed(pixels)[0], expected)


@pytest.mark.parametrize('shape', [(1, 3, 30, 32), (1, 3, 32, 30)])
def test_images_that_patches_do_not_fill(shape):
    with pytest.raises(RuntimeError, match='multiply up to the size of dim'):
        patchify(torch.zeros(shape), 16)


def test_statistics_are_numpys():
    patches = images(2, 5, 48)
    mean, std = patch_statistics(patches)
    values = patches.double().numpy()
    np.testing.assert_allclose(mean[..., 0], values.mean(-1), atol=1e-6)
    np.testing.assert_allclose(std[..., 0], values.std(-1, ddof=1), atol=1e-5)


def test_even_patches_can_be_normalized():
    mean, std = patch_statistics(torch.full((1, 1, 48), 0.7))
    assert mean.item() == pytest.approx(0.7)
    assert std.item() == pytest.approx(1e-3)
