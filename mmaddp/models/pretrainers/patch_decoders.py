"""DARL's patch decoders: the backbone's output for earlier patches -> the next patch.

All take z_t = f(x_<t). Those for the diffusion objective also take the corrupted patch x_t^s of the
same position (sections 3.1 and 4.1). Those conditioned on gamma take it as a fourth channel of that
patch: each of its pixels has the value gamma beside its colors.
"""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from timm.layers import Mlp
from torch import Tensor, nn

from mmaddp.registry import MODELS
from mmaddp.utils import UserError

from ..layers import Block, init_parameters

HEAD_DIMS = 64
COLORS = 3
# CUDA's fused attention refuses more sequences at once, and each patch is one here.
MAX_SEQUENCES = 2**16 - 1


class PatchDecoder(BaseModule):
    """Base class: the embedding of the corrupted patch, and the initialization.

    Args:
        embed_dims: C, channels of the backbone's output and inside the decoder.
        patch_dims: P, values of a patch, or the number of codes where VQ tokens are predicted.
        noisy: Whether the decoder takes the corrupted patch.
        condition_on_gamma: Whether gamma is a fourth channel of it.

    Raises:
        UserError: ``condition_on_gamma`` without ``noisy``.
    """

    def __init__(
        self, embed_dims: int, patch_dims: int, noisy: bool, condition_on_gamma: bool
    ) -> None:
        super().__init__()
        if condition_on_gamma and not noisy:
            raise UserError(
                'condition_on_gamma=True: gamma is a channel of the corrupted patch, '
                'which only a decoder with noisy=True takes'
            )
        self.embed_dims, self.patch_dims = embed_dims, patch_dims
        self.noisy, self.condition_on_gamma = noisy, condition_on_gamma
        # "Added as a channel to the noise corrupted image patch": a value for each pixel.
        self.gamma_dims = patch_dims // COLORS if condition_on_gamma else 0
        if noisy:
            self.patch_embed = nn.Linear(patch_dims + self.gamma_dims, embed_dims)

    def check_noise(self, noise: object | None) -> None:
        """Refuse noise without a noisy decoder, and the reverse.

        Args:
            noise: Noise distribution of the pre-training; None without.
        """
        if self.noisy != (noise is not None):
            takes = 'takes corrupted patches' if self.noisy else 'takes no corrupted patches'
            raise UserError(
                f'this {type(self).__name__} {takes}: set both noise and patch_decoder.noisy=True '
                '(a TransformerPatchDecoder always has it), or neither'
            )

    def embed(self, x_s: Tensor, gamma: Tensor) -> Tensor:
        """The embedded corrupted patch: (..., P), (..., 1) -> (..., C)."""
        if self.condition_on_gamma:
            # (..., P), (..., P / 3) -> (..., 4 P / 3), channel after channel
            x_s = torch.cat([x_s, gamma.expand(*gamma.shape[:-1], self.gamma_dims)], dim=-1)
        return self.patch_embed(x_s)

    def init_weights(self) -> None:
        """Initialize the weights as the backbone's: Xavier-uniform, biases zero (table 8)."""
        if not self.is_init:
            init_parameters(self)
        super().init_weights()


@MODELS.register_module()
class MLPPatchDecoder(PatchDecoder):
    """Residual pre-norm MLPs, then a linear layer; without MLPs the linear decoder (table 2).

    The paper does not say how the MLP takes the corrupted patch. Here its embedding is added to
    the backbone's output.

    Args:
        embed_dims: C, channels of the backbone's output and between the MLPs.
        patch_dims: P, values of a patch, or the number of codes where VQ tokens are predicted.
        num_layers: Residual MLPs.
        noisy: Whether the decoder takes the corrupted patch, for the diffusion objective.
        condition_on_gamma: Whether gamma is a fourth channel of it.
        mlp_ratio: Width of the MLPs over C.

    Raises:
        UserError: ``condition_on_gamma`` without ``noisy``.
    """

    def __init__(
        self,
        embed_dims: int,
        patch_dims: int,
        num_layers: int = 0,
        noisy: bool = False,
        condition_on_gamma: bool = False,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__(embed_dims, patch_dims, noisy, condition_on_gamma)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(embed_dims, eps=1e-6), Mlp(embed_dims, int(embed_dims * mlp_ratio))
            )
            for _ in range(num_layers)
        )
        self.head = nn.Linear(embed_dims, patch_dims)

    def forward(self, z: Tensor, x_s: Tensor | None = None, gamma: Tensor | None = None) -> Tensor:
        """Predict the patch, or with the diffusion objective the patch or its noise.

        Args:
            z: (..., C), the backbone's output.
            x_s: (..., P), the corrupted patch; ignored unless ``noisy``.
            gamma: (..., 1) in [0, 1]; ignored unless conditioned on.

        Returns:
            (..., P).
        """
        # (..., C)
        x = z + self.embed(x_s, gamma) if self.noisy else z
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x)


@MODELS.register_module()
class TransformerPatchDecoder(PatchDecoder):
    """Transformer blocks over two tokens, z_t and the embedded corrupted patch (section 4.1).

    Both tokens attend to both, without positions. The paper does not say which output is read:
    here both are normalized and concatenated for a linear layer. Without blocks there is no norm.

    Args:
        embed_dims: C, channels of the backbone's output and of both tokens.
        patch_dims: P, values of a patch.
        num_layers: Blocks.
        num_heads: Attention heads; one for each 64 channels when None, as in ViT-B and ViT-L.
        condition_on_gamma: Whether gamma is a fourth channel of the corrupted patch.
        mlp_ratio: Width of the MLPs over C.
    """

    def __init__(
        self,
        embed_dims: int,
        patch_dims: int,
        num_layers: int = 1,
        num_heads: int | None = None,
        condition_on_gamma: bool = False,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__(embed_dims, patch_dims, True, condition_on_gamma)
        # A toy backbone may have fewer than 64 channels.
        num_heads = num_heads or max(embed_dims // HEAD_DIMS, 1)
        self.blocks = nn.ModuleList(
            Block(embed_dims, num_heads, mlp_ratio) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6) if num_layers else nn.Identity()
        self.head = nn.Linear(2 * embed_dims, patch_dims)

    def forward(self, z: Tensor, x_s: Tensor, gamma: Tensor | None = None) -> Tensor:
        """Predict the patch or its noise.

        Args:
            z: (..., C), the backbone's output.
            x_s: (..., P), the corrupted patch.
            gamma: (..., 1) in [0, 1]; ignored unless conditioned on.

        Returns:
            (..., P).
        """
        # (..., C) and (..., C) -> (M, 2, C), a sequence of two tokens for each patch
        pairs = torch.stack([z, self.embed(x_s, gamma)], dim=-2).view(-1, 2, self.embed_dims)
        # M = B * N patches, each a sequence of its own.
        patches = torch.cat([self.decode(part) for part in pairs.split(MAX_SEQUENCES)])
        return patches.view(*z.shape[:-1], -1)

    def decode(self, pairs: Tensor) -> Tensor:
        """Pairs of tokens (M, 2, C) -> patches (M, P)."""
        for block in self.blocks:
            pairs = block(pairs, (1, 2))
        return self.head(self.norm(pairs).flatten(1))  # (M, 2 C) -> (M, P)
