"""Images of one colour each, and networks whose features are these colours."""

import itertools

import numpy as np
from PIL import Image

from mmaddp.evaluation import generation
from mmaddp.evaluation.generation_features import Features


class ColourNetworks:
    """In place of Inception: features (N, 3) are the mean colour, logits its distance from 128."""

    def __init__(self, weights=None, vgg_weights=None, device='cpu'):
        self.name = f'colours-{weights}'
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        colours = images.float().mean(dim=(2, 3))
        return Features(colours, (colours - 128) / 50, colours)


def use_colour_networks(monkeypatch):
    monkeypatch.setattr(generation, 'FeatureNetworks', ColourNetworks)


def draw_colours(folder, colours, size=(8, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    for i, colour in enumerate(colours):
        image = np.broadcast_to(np.array(colour, np.uint8), (*size, 3))
        Image.fromarray(image.copy()).save(folder / f'{i:06d}.png')
    return folder


def cube(centre, deviations, copies=2):
    """Colours whose channels are uncorrelated: all corners of a box, ``copies`` times."""
    corners = itertools.product(*((c - d, c + d) for c, d in zip(centre, deviations)))
    return list(corners) * copies


def corner_deviation(deviation, copies=2):
    """Unbiased standard deviation of a channel of :func:`cube`."""
    n = 8 * copies
    return deviation * (n / (n - 1)) ** 0.5
