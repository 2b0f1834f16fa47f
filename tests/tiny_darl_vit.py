"""A DARL backbone small enough to look at every pair of patches."""

import torch

from mmaddp.models import DARLViT

TINY = dict(embed_dims=32, num_layers=2, num_heads=2)
POSITIONS = ('rope-2d', 'rope-1d', 'sincos', 'learnable', 'none')


def build(seed=0, **settings):
    """One of 4 x 4 patches of 8 pixels, with weights large enough that all matters."""
    torch.manual_seed(seed)
    model = DARLViT(**dict(dict(arch=TINY, img_size=32, patch_size=8), **settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def each_patch_changed(model):
    """Sixteen copies of an image, and the same with patch i of the i-th copy changed."""
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = images.expand(16, -1, -1, -1)
    changed = images.unflatten(3, (4, 8)).unflatten(2, (4, 8)).clone()
    for place in range(16):
        changed[place, :, place // 4, :, place % 4] += 1
    return images, changed.flatten(4, 5).flatten(2, 3)
