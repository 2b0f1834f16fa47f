"""DARL's pre-training: section 3 of its paper, a method for each step."""

from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion.gaussian import perturb, x0_from_epsilon
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import check_choice

from ..layers import patch_statistics, patchify, unpatchify
from ..pixel_values import NORMALIZED_IMAGES, register_imagenet_statistics
from .darl_checks import check_backbone, check_options, check_parts
from .frozen import FrozenTokenizer

PREDICTIONS = ('x0', 'epsilon')
TARGETS = ('pixels', 'normalized-pixels', 'tokens')
INPUTS = ('pixels', 'tokens')


@MODELS.register_module()
class DARL(FrozenTokenizer, BaseModel):
    """Denoising autoregressive representation learning.

    A causal backbone sees the patches before patch t and gives z_t = f(x_<t); a patch decoder g
    makes patch t of it, for the diffusion objective with the help of the corrupted patch x_t^s
    (figure 1). N is the number of patches, P = patch_size * patch_size * 3 the number of values of
    one, C the channels of the backbone. Whatever the order of prediction, tensors hold the patches
    in raster order.

    Left open by the paper, and so our choice: the pixels that are predicted are those that the
    backbone sees, normalized by ImageNet's mean and deviation; noise is added to what is predicted,
    normalized patches included; VQ tokens enter through a table of embeddings that is learned, and
    are predicted by a :class:`MLPPatchDecoder`, by default a linear layer.

    Args:
        backbone: :class:`mmaddp.models.DARLViT`; it has the order of the patches.
        patch_decoder: :class:`MLPPatchDecoder` or :class:`TransformerPatchDecoder`, without
            ``embed_dims`` and ``patch_dims``, which are known here. None is the paper's: a linear
            layer, or with noise a transformer block.
        noise: Config of the noise levels of the diffusion objective, by default a
            :class:`mmaddp.diffusion.BetaNoise`; None for mean squared error, or with tokens cross
            entropy.
        prediction: What a decoder makes of a corrupted patch: 'x0' the patch (equation 3) or
            'epsilon' the noise (equation 2).
        target: 'pixels', 'normalized-pixels', by mean and deviation of each patch as MAE does
            (appendix B.2), or 'tokens', the VQ tokens of a frozen tokenizer (appendix B.4).
        inputs: What the backbone sees: 'pixels' or 'tokens' (appendix B.4). A tokenizer looks at
            the whole image, so that tokens tell a little about the patches behind them. With tokens
            the backbone's patch embedding is not used, and does not learn.
        random_order: Predict the patches of each image in an order of its own; the backbone needs
            ``two_stream=True`` (section 4.4).
        tokenizer: :class:`mmaddp.models.VQGAN`, frozen, where ``target`` or ``inputs`` wants it.
        data_preprocessor: Must give RGB images normalized by ImageNet's mean and deviation.
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: An option has a value that does not exist.
        ValueError: Options or parts do not fit each other.
    """

    timed_steps = ('tokenize', 'embed', 'encode', 'corrupt', 'decode')

    def __init__(
        self,
        backbone: dict,
        patch_decoder: dict | None = None,
        noise: dict | None = None,
        prediction: str = 'x0',
        target: str = 'pixels',
        inputs: str = 'pixels',
        random_order: bool = False,
        tokenizer: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or NORMALIZED_IMAGES, init_cfg)
        check_choice('prediction', prediction, PREDICTIONS)
        check_choice('target', target, TARGETS)
        check_choice('inputs', inputs, INPUTS)
        self.noise = noise and TASK_UTILS.build({'type': 'mmaddp.BetaNoise', **noise})
        self.prediction, self.target, self.inputs = prediction, target, inputs
        self.random_order = random_order
        check_options(self, patch_decoder, tokenizer)

        self.backbone = MODELS.build(backbone)
        check_backbone(self.backbone, random_order)
        self.tokenizer = MODELS.build(tokenizer) if tokenizer else None
        self.patch_decoder = MODELS.build(
            dict(patch_decoder or self.default_decoder(), **self.sizes)
        )
        if inputs == 'tokens':
            self.token_embed = nn.Embedding(self.tokenizer.num_embeddings, self.backbone.embed_dims)
            nn.init.normal_(self.token_embed.weight, std=0.02)
            self.backbone.patch_embed.requires_grad_(False)
        check_parts(self)
        register_imagenet_statistics(self)
        self.freeze(*(['tokenizer'] if tokenizer else []))

    def default_decoder(self) -> dict:
        """The paper's choice: linear, or one transformer block where there is noise (3.1)."""
        kind = 'TransformerPatchDecoder' if self.noise else 'MLPPatchDecoder'
        return dict(type=f'mmaddp.{kind}')

    @property
    def sizes(self) -> dict[str, int]:
        """What the patch decoder must fit: C, and P or the number of codes."""
        values = 3 * self.backbone.patch_size**2
        patch_dims = self.tokenizer.num_embeddings if self.target == 'tokens' else values
        return dict(embed_dims=self.backbone.embed_dims, patch_dims=patch_dims)

    @property
    def num_patches(self) -> int:
        """N, of an image of the size that the backbone is made for."""
        rows, columns = self.backbone.grid
        return rows * columns

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | Tensor:
        """Loss of a batch ('loss'), or what the backbone predicts each patch from ('tensor').

        Args:
            inputs: (B, 3, H, W), normalized by ImageNet's mean and deviation.
            data_samples: Not looked at.
            mode: 'loss' or 'tensor', which gives z (B, N, C) in the backbone's own order.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'tensor':
            return self.encode(*self.embed(inputs))
        raise ValueError(f"mode '{mode}' is neither 'loss' nor 'tensor'")

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Equation 1 with one of its objectives; ``images`` as in :meth:`forward`."""
        ids = self.tokenize(images) if self.tokenizer is not None else None
        x_0 = ids if self.target == 'tokens' else self.clean_patches(images)
        x_s, gamma, epsilon = self.corrupt(x_0)
        tokens, grid = self.embed(images, ids)
        z = self.encode(tokens, grid, self.sample_order(tokens))
        prediction = self.decode(z, x_s, gamma)
        return dict(loss=self.simple_loss(prediction, x_0, epsilon))

    @torch.no_grad()
    def tokenize(self, images: Tensor) -> Tensor:
        """VQ tokens (B, N), int64, of normalized images (B, 3, H, W)."""
        return super().tokenize(self.to_unit_range(images))

    def clean_patches(self, images: Tensor) -> Tensor:
        """x_t^0, what is predicted of normalized images (B, 3, H, W): (B, N, P), float32.

        Raises:
            UserError: No whole number of patches fills the images.
        """
        patches = self.patchify(images.float())
        if self.target == 'normalized-pixels':
            mean, deviation = patch_statistics(patches)
            patches = (patches - mean) / deviation
        return patches

    def corrupt(self, x_0: Tensor) -> tuple[Tensor, Tensor, Tensor] | tuple[None, None, None]:
        """The forward process, each patch with a noise level of its own (section 3.3).

        Args:
            x_0: (B, N, P), clean patches.

        Returns:
            x_t^s (B, N, P), gamma (B, N, 1) in [0, 1] and epsilon (B, N, P); None each where the
            model has no noise.
        """
        if self.noise is None:
            return None, None, None
        gamma = self.noise.sample((*x_0.shape[:2], 1), x_0.device)
        epsilon = torch.randn_like(x_0)
        return perturb(x_0, gamma, epsilon), gamma, epsilon

    def embed(self, images: Tensor, ids: Tensor | None = None) -> tuple[Tensor, tuple[int, int]]:
        """What the backbone sees of each patch, without positions.

        Args:
            images: (B, 3, H, W), normalized.
            ids: (B, N), their VQ tokens where they are known already.

        Returns:
            (B, N, C) in raster order, and the grid (h, w).
        """
        if self.inputs == 'pixels':
            return self.backbone.embed_patches(images)
        ids = self.tokenize(images) if ids is None else ids
        return self.token_embed(ids), tuple(self.backbone.grid)

    def embed_values(self, values: Tensor) -> Tensor:
        """What the backbone sees of single patches (B, k, P) or token ids (B, k): (B, k, C)."""
        if self.inputs == 'tokens':
            return self.token_embed(values)
        return self.backbone.embed_patches(self.unpatchify(values, (1, values.shape[1])))[0]

    def sample_order(self, tokens: Tensor) -> Tensor | None:
        """An order for each image of (B, N, C): (B, N), or None for the backbone's own."""
        if not self.random_order:
            return None
        return torch.rand(tokens.shape[:2], device=tokens.device).argsort(dim=1)

    def encode(self, tokens: Tensor, grid: tuple[int, int], order: Tensor | None = None) -> Tensor:
        """z_t = f(x_<t), what the backbone makes of the patches before each one (section 3.1).

        Args:
            tokens: (B, N, C) of :meth:`embed`.
            grid: (h, w).
            order: (B, N) of :meth:`sample_order`.

        Returns:
            (B, N, C), z_t at the place of patch t.
        """
        return self.backbone.predict_next(tokens, grid, order)

    def decode(self, z: Tensor, x_s: Tensor | None = None, gamma: Tensor | None = None) -> Tensor:
        """g(x_t^s, z_t), whatever the decoder was trained to predict.

        Args:
            z: (..., C).
            x_s: (..., P), the corrupted patch, with noise alone.
            gamma: (..., 1), with ``x_s``.

        Returns:
            x^0 or epsilon (..., P), or the logits of the codes (..., K); float32.
        """
        return self.patch_decoder(z, x_s, gamma).float()

    def simple_loss(self, prediction: Tensor, x_0: Tensor, epsilon: Tensor | None) -> Tensor:
        """L_MSE, or L_SIMP with the diffusion objective (sections 3.2 and 3.3).

        It is the mean over all patches and their values, which is equation 1 up to a factor and a
        constant: a Gaussian of constant variance has -log p = ||f - x||^2 / (2 sigma^2) + const.
        For VQ tokens it is the mean of -log p itself.

        Args:
            prediction: What :meth:`decode` gives.
            x_0: (B, N, P) clean patches, or VQ tokens (B, N).
            epsilon: (B, N, P), the noise.
        """
        if self.target == 'tokens':
            return F.cross_entropy(prediction.flatten(0, 1), x_0.flatten())
        return F.mse_loss(prediction, epsilon if self.prediction == 'epsilon' else x_0)

    def denoise(self, z: Tensor, x_s: Tensor | None = None, gamma: Tensor | None = None) -> Tensor:
        """The predicted clean patch x_t^0, whatever ``prediction`` is; arguments of :meth:`decode`.

        With ``prediction='epsilon'`` gamma must be above 0; where it is small, values far outside
        those of images come out.
        """
        prediction = self.decode(z, x_s, gamma)
        if self.prediction == 'epsilon':
            return x0_from_epsilon(x_s, gamma, prediction)
        return prediction

    def patchify(self, images: Tensor) -> Tensor:
        """Patches of images, see :func:`mmaddp.models.layers.patchify`."""
        return patchify(images, self.backbone.patch_size)

    def unpatchify(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images of patches, see :func:`mmaddp.models.layers.unpatchify`."""
        return unpatchify(patches, grid, self.backbone.patch_size)

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Undo the data preprocessor's normalization: images in [0, 1], but for rounding."""
        return images * self.std + self.mean

    def pixel_range(self) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value that the pixels of a patch have, (P,) each."""
        black, white = -self.mean / self.std, (1 - self.mean) / self.std
        return tuple(one.flatten().repeat(self.backbone.patch_size**2) for one in (black, white))

    def pictures(self, patches: Tensor, images: Tensor) -> Tensor:
        """Predicted or corrupted patches as pictures.

        Args:
            patches: (B, N, P), of the kind of :meth:`clean_patches`.
            images: (B, 3, H, W), normalized, whose patches they stand for: patches that were
                normalized one by one are given the mean and deviation of these.

        Returns:
            (B, 3, H, W), about [0, 1], not clamped.
        """
        if self.target == 'normalized-pixels':
            mean, deviation = patch_statistics(self.patchify(images.float()))
            patches = patches * deviation + mean
        grid = tuple(side // self.backbone.patch_size for side in images.shape[-2:])
        return self.to_unit_range(self.unpatchify(patches, grid))
