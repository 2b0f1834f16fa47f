"""The least that a method has, and what follows from it."""

import numpy as np
import pytest
import torch

from mmaddp.apis import extract_features, generate, reconstruct
from mmaddp.models import ADDPViT
from mmaddp.models.pixel_values import NORMALIZED_IMAGES
from mmaddp.models.pretrainers import Pretrainer
from mmaddp.utils import UserError


class Least(Pretrainer):
    """Learns that features are zero."""

    def __init__(self):
        super().__init__(NORMALIZED_IMAGES)
        self.encoder = ADDPViT(dict(embed_dims=16, num_layers=2, num_heads=2), img_size=32)

    @property
    def encoder_module(self):
        """The network that transfers."""
        return self.encoder

    def loss(self, inputs):
        """The mean square of the last features."""
        return dict(loss=self.represent(inputs).square().mean())


def test_loss_and_features():
    model, images = Least(), torch.rand(2, 3, 32, 32)
    assert model(images, mode='loss')['loss'] > 0
    torch.testing.assert_close(model(images), model.encoder(images)[0])
    (maps,) = extract_features(model, np.zeros((1, 32, 32, 3), np.uint8), layers=['block_1'])
    assert maps.shape == (1, 16, 2, 2)


def test_without_a_sampler_nothing_is_generated():
    with pytest.raises(UserError, match='Least does not generate images'):
        generate(Least(), 1)
    with pytest.raises(UserError, match='Least does not reconstruct images'):
        reconstruct(Least(), np.zeros((1, 32, 32, 3), np.uint8))
    assert not list(Least().visualize(torch.rand(1, 3, 32, 32)))
