"""The VQGAN tokenizer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints import Loadable
from mmaddp.checkpoints.judge import Untold, size_of
from mmaddp.checkpoints.rules import Tensors
from mmaddp.registry import MODELS
from mmaddp.utils import check_multiples

from .vqgan_layers import Decoder, Encoder, init_convolutions


class Autoencoded(NamedTuple):
    """Output of :class:`VQGAN` in training.

    Args:
        images: (B, 3, H, W), about [0, 1], not clamped.
        features: (B, N, E), the encoder's.
        codes: (B, N, E), the nearest codes.
        ids: (B, N), their indices.
    """

    images: Tensor
    features: Tensor
    codes: Tensor
    ids: Tensor


@MODELS.register_module()
class VQGAN(Loadable):
    """MaskGIT's VQGAN as MAGE released it: 16 x 16 pixels a token, 1024 codes.

    Args:
        base_channels: Channels at full resolution; the released one has 128.
        embed_dims: E, channels of a code.
        num_embeddings: K, codes of the codebook.
        norm_groups: Groups of the norms, a divisor of ``base_channels``. Use fewer in narrow
            networks: a group of one channel loses its mean.
        channel_multipliers: Width of each level in units of ``base_channels``, the finest first.
            Each further level halves the grid: five levels give 16 x 16 pixels a token, four 8 x 8.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` takes the released file, or any
            other of :mod:`mmaddp.checkpoints` that holds a tokenizer.
    """

    part = 'tokenizer'

    def __init__(
        self,
        base_channels: int = 128,
        embed_dims: int = 256,
        num_embeddings: int = 1024,
        norm_groups: int = 32,
        channel_multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_embeddings = num_embeddings
        # Every level but the last halves the grid.
        self.stride = 2 ** (len(channel_multipliers) - 1)
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        self.encoder = Encoder(widths, embed_dims, norm_groups)
        self.decoder = Decoder(widths, embed_dims, norm_groups)
        self.quantize = Codebook(num_embeddings, embed_dims)
        init_convolutions(self)

    @classmethod
    def settings_from(cls, state: Tensors) -> dict[str, Any] | None:
        """See :class:`Loadable`."""
        if not any(name.startswith(('quantize.', 'encoder.down.')) for name in state):
            return None
        first = r'encoder\.down\.0\.block\.\d\.(norm|conv)[12]\.(weight|bias)'
        code = r'quantize\.embedding\.weight'
        return dict(
            base_channels=size_of(state, (first, 0), (r'encoder\.conv_in\.weight', 0)),
            embed_dims=size_of(
                state, (code, 1), (r'encoder\.conv_out\.\w+', 0), (r'decoder\.conv_in\.weight', 1)
            ),
            num_embeddings=size_of(state, (code, 0)),
            norm_groups=Untold(1),
            channel_multipliers=channel_multipliers(state),
        )

    @property
    def codebook(self) -> Tensor:
        """The codes, (K, E)."""
        return self.quantize.embedding.weight

    def forward(self, images: Tensor, quantized: bool = True) -> Autoencoded:
        """Reconstruct images for training, with straight-through gradients.

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W multiples of the stride.
            quantized: Decode the codes instead of the features.

        Raises:
            UserError: H or W is not a multiple of the stride.
        """
        features = self.features(images)
        ids = self.quantize(features)
        codes = self.embed(ids)
        grid = tuple(side // self.stride for side in images.shape[-2:])
        # Straight-through: the value of the codes, the gradient of the features.
        passed = features + (codes - features).detach() if quantized else features
        decoded = self.decode(passed, grid)
        return Autoencoded(decoded, features, codes, ids)

    def encode(self, images: Tensor) -> Tensor:
        """Token ids of images, ``z_0 = VQ-Encoder(x_0)`` (algorithm 1, line 5).

        Args:
            images: (B, 3, H, W) in [0, 1]; H and W multiples of the stride.

        Returns:
            (B, N), int64, N = H/s * W/s in raster order.

        Raises:
            UserError: H or W is not a multiple of the stride.
        """
        return self.quantize(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The encoder's features, before quantization: images (B, 3, H, W) -> (B, N, E)."""
        check_multiples(images.shape[-2:], self.stride)
        return self.encoder(images).flatten(2).transpose(1, 2)  # (B, E, h, w) -> (B, N, E)

    def embed(self, ids: Tensor) -> Tensor:
        """Codes of token ids: (B, N) -> (B, N, E)."""
        return F.embedding(ids, self.codebook)

    def decode(self, embeddings: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Decode embedded tokens to images, the VQ-Decoder of equation 1.

        Args:
            embeddings: (B, N, E), codes or means of codes.
            grid: (h, w) with h * w = N; a square when None.

        Returns:
            (B, 3, s h, s w), about [0, 1], not clamped.
        """
        side = math.isqrt(embeddings.shape[1])
        grid = grid or (side, side)
        # (B, N, E) -> (B, E, N) -> (B, E, h, w)
        return self.decoder(embeddings.transpose(1, 2).unflatten(2, grid))


def channel_multipliers(state: Tensors) -> tuple[int, ...]:
    """Width of each level in units of the finest, from the names and shapes of its norms."""
    norm = r'encoder\.down\.{}\.block\.\d\.norm2\.weight'
    indices = [re.match(r'encoder\.down\.(\d+)\.', name) for name in state]
    # A file without the encoder's levels is taken for the released one, of five.
    levels = 1 + max((int(match[1]) for match in indices if match), default=4)
    widths = [size_of(state, (norm.format(level), 0)) for level in range(levels)]
    return tuple(width // (widths[0] or 1) for width in widths)


class Codebook(nn.Module):
    """The codes, initialized as VQGAN's, and the search for the nearest."""

    def __init__(self, num_embeddings: int, embed_dims: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings, embed_dims)
        # As taming-transformers' VectorQuantizer: U(-1/K, 1/K).
        nn.init.uniform_(self.embedding.weight, -1 / num_embeddings, 1 / num_embeddings)

    def forward(self, features: Tensor) -> Tensor:
        """Index of the code with the smallest Euclidean distance: (B, N, E) -> (B, N)."""
        # float32 under any autocast: in half precision neighbors tie.
        codes = self.embedding.weight.float()
        with torch.autocast(features.device.type, enabled=False):
            products = features.float() @ codes.t()
        # ||f - c||^2 = ||f||^2 + ||c||^2 - 2 f . c; the first term is the same for all codes.
        return (codes.square().sum(1) - 2 * products).argmin(-1)
