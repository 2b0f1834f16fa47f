"""Pictures of DARL's pre-training: each patch as it is predicted from those before it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mmaddp.diffusion.gaussian import perturb
from mmaddp.registry import HOOKS
from mmaddp.utils import UserError

from .visualization_hook import VisualizationHook


@HOOKS.register_module()
class PatchVisualizationHook(VisualizationHook):
    """Draw DARL's predictions, see :class:`VisualizationHook`.

    'predictions': a row for each of some training images, always the same with the same crop and
    noise. From the left: the image; with the diffusion objective the corrupted patches, or with
    VQ tokens as target the image as the tokenizer reconstructs it; and all patches as they are
    predicted, each given the true ones before it.

    Args:
        interval: Iterations between two drawings; the last iteration is drawn too.
        num_images: Training images, spread over the whole set.
        gamma: Noise level of the corrupted patches, in (0, 1]; 1 is clean.
        seed: Seed of the noise.

    Raises:
        UserError: ``gamma`` is out of its range.
    """

    def __init__(
        self, interval: int = 1000, num_images: int = 4, gamma: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(interval, num_images, seed)
        if not 0 < gamma <= 1:
            raise UserError(f'gamma={gamma} of PatchVisualizationHook: must be in (0, 1]')
        self.gamma = gamma

    def pictures(self, model: nn.Module, inputs: Tensor) -> Iterator[tuple[str, Tensor, int]]:
        """The grid; arguments and what it yields are those of the base class."""
        z = model.encode(*model.embed(inputs))
        views = [model.to_unit_range(inputs)]
        if model.target == 'tokens':
            views += views_of_tokens(model, inputs, z)
        else:
            views += self._views_of_patches(model, inputs, z)
        yield 'predictions', torch.stack(views, dim=1).flatten(0, 1), len(views)

    def _views_of_patches(self, model: nn.Module, inputs: Tensor, z: Tensor) -> list[Tensor]:
        """The corrupted patches, where there is noise, and the predicted ones."""
        if model.noise is None:
            return [model.pictures(model.denoise(z), inputs)]
        x_0 = model.clean_patches(inputs)
        generator = torch.Generator().manual_seed(self.seed)
        epsilon = torch.randn(x_0.shape, generator=generator).to(x_0)
        gamma = torch.full_like(x_0[..., :1], self.gamma)
        x_s = perturb(x_0, gamma, epsilon)
        return [model.pictures(one, inputs) for one in (x_s, model.denoise(z, x_s, gamma))]


def views_of_tokens(model: nn.Module, inputs: Tensor, z: Tensor) -> list[Tensor]:
    """The tokens and the most probable ones, decoded: (B, 3, H, W) each."""
    tokenizer = model.tokenizer
    ids = model.tokenize(inputs), model.decode(z).argmax(-1)
    return [tokenizer.decode(tokenizer.embed(one)) for one in ids]
