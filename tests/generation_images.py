"""Images of one color each, and networks whose features are these colors."""

import itertools

import numpy as np
from PIL import Image

from mmaddp.evaluation import generation
from mmaddp.evaluation.generation_features import Features


class ColorNetworks:
    """In place of Inception: features (N, 3) are the mean color, logits its distance from 128."""

    distance = 'fid'

    def __init__(self, weights=None, vgg_weights=None, device='cpu'):
        self.name = f'colors-{weights}'
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        colors = images.float().mean(dim=(2, 3))
        return Features(colors, (colors - 128) / 50, colors)


def use_color_networks(monkeypatch):
    monkeypatch.setattr(generation, 'FeatureNetworks', ColorNetworks)


def draw_colors(folder, colors, size=(8, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    for i, color in enumerate(colors):
        image = np.broadcast_to(np.array(color, np.uint8), (*size, 3))
        Image.fromarray(image.copy()).save(folder / f'{i:06d}.png')
    return folder


def cube(center, deviations, copies=2):
    """Colors whose channels are uncorrelated: all corners of a box, ``copies`` times."""
    corners = itertools.product(*((c - d, c + d) for c, d in zip(center, deviations)))
    return list(corners) * copies


def corner_std(deviation, copies=2):
    """Unbiased standard deviation of a channel of :func:`cube`."""
    n = 8 * copies
    return deviation * (n / (n - 1)) ** 0.5
