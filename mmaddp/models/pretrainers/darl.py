"""DARL: section 3 step by step, then its features, its visualization and its sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion import ImageNoise, MeanSampler, PatchSampler, PatchStep, TokenSampler
from mmaddp.diffusion.gaussian import perturb, x0_from_epsilon
from mmaddp.diffusion.patch_sampler import MIN_GAMMA, known_first
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import UserError, check_choice, check_range, refuse_if

from ..backbones import BaseEncoder
from ..inspection import gray_out
from ..layers import patch_statistics, patchify, unpatchify
from ..pixel_values import NORMALIZED_IMAGES, register_imagenet_statistics
from .base import Pretrainer, Start, rows_of
from .frozen import FrozenTokenizer

PREDICTIONS = ('x0', 'epsilon')
TARGETS = ('pixels', 'normalized-pixels', 'tokens')
INPUTS = ('pixels', 'tokens')


@MODELS.register_module()
class DARL(FrozenTokenizer, Pretrainer):
    """Denoising autoregressive representation learning.

    A causal backbone sees the patches before patch t and gives z_t = f(x_<t). A patch decoder g
    predicts patch t from z_t and, for the diffusion objective, the corrupted patch x_t^s (figure
    1). An image has N patches of P = patch_size * patch_size * 3 values; C are the channels of the
    backbone. Tensors hold patches in raster order, whatever the order of prediction.

    Our choices where the paper is silent: predicted pixels are normalized by ImageNet's mean and
    std, as the backbone's input; noise is added to the target, normalized patches included; VQ
    tokens are embedded by a learned table and predicted by an :class:`MLPPatchDecoder`.

    Args:
        backbone: :class:`mmaddp.models.DARLViT`; it sets the order of the patches.
        patch_decoder: :class:`MLPPatchDecoder` or :class:`TransformerPatchDecoder` without
            ``embed_dims`` and ``patch_dims``, which follow from the rest. None is the paper's: a
            linear layer, or a transformer block with noise.
        noise: Config of the noise levels of the diffusion objective, by default a
            :class:`mmaddp.diffusion.BetaNoise`. None for mean squared error, or cross entropy with
            tokens.
        prediction: Output of the decoder with noise: 'x0' for the patch (equation 3), 'epsilon'
            for the noise (equation 2).
        target: 'pixels'; 'normalized-pixels', by mean and std of each patch as in MAE (appendix
            B.2); or 'tokens', the VQ tokens of a frozen tokenizer (appendix B.4).
        inputs: Input of the backbone: 'pixels' or 'tokens' (appendix B.4). A tokenizer sees the
            whole image, so tokens leak a little of later patches. With tokens the backbone's patch
            embedding is unused and frozen.
        random_order: Predict the patches of each image in a random order; the backbone needs
            ``two_stream=True`` (section 4.4).
        tokenizer: :class:`mmaddp.models.VQGAN`, frozen, if ``target`` or ``inputs`` is 'tokens'.
        data_preprocessor: Must give RGB images normalized by ImageNet's mean and std.
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: An option does not exist, or options or parts do not fit each other.
    """

    timed_steps = ('tokenize', 'embed', 'encode', 'corrupt', 'decode')
    checkpoint_prefixes = ('backbone.', 'patch_decoder.')
    input_parts = ()  # the encoder sees pixels

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
        noise = None if noise is None else {'type': 'mmaddp.BetaNoise', **noise}
        self.noise = noise and TASK_UTILS.build(noise)
        self.prediction, self.target, self.inputs = prediction, target, inputs
        self.random_order = random_order

        self.backbone = MODELS.build(backbone)
        self.tokenizer = MODELS.build(tokenizer) if tokenizer else None
        self.check_options()
        decoder = patch_decoder or self.default_decoder()
        # The decoder's sizes follow from backbone and target, whatever its config says.
        self.patch_decoder = MODELS.build({**decoder, **self.sizes})
        self.patch_decoder.check_noise(self.noise)
        if inputs == 'tokens':
            # Tokens replace patches. A parameter without gradient would stop DDP.
            self.token_embed = nn.Embedding(self.tokenizer.num_embeddings, self.backbone.embed_dims)
            nn.init.normal_(self.token_embed.weight, std=0.02)
            self.backbone.patch_embed.requires_grad_(False)
        register_imagenet_statistics(self)
        self.freeze(*(['tokenizer'] if tokenizer else []))

    def check_options(self) -> None:
        """Refuse options and parts that contradict each other."""
        patch_size, out_indices = self.backbone.patch_size, tuple(self.backbone.out_indices)
        stride = self.tokenizer.stride if self.tokenizer else patch_size
        refuse_if(
            (
                self.prediction == 'epsilon' and self.noise is None,
                "prediction='epsilon': there is no noise to predict; set noise",
            ),
            (
                ('tokens' in (self.target, self.inputs)) != (self.tokenizer is not None),
                f"target='{self.target}', inputs='{self.inputs}': set tokenizer if one of them is "
                "'tokens', and only then",
            ),
            (
                patch_size != stride,
                f'backbone.patch_size={patch_size}: a token of the tokenizer covers {stride} '
                f'pixels; set backbone.patch_size={stride}',
            ),
            (
                not self.backbone.is_last(out_indices[-1]),
                f'backbone.out_indices={out_indices}: later blocks would be frozen, and '
                'pre-training predicts from the last one; remove backbone.out_indices',
            ),
        )

    def default_decoder(self) -> dict:
        """The paper's choice: linear, or with noise one transformer block (section 3.1)."""
        kind = 'TransformerPatchDecoder' if self.noise else 'MLPPatchDecoder'
        return dict(type=f'mmaddp.{kind}')

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the patch decoder: C, and P or the number of codes."""
        # P, the RGB values of a patch
        values = 3 * self.backbone.patch_size**2
        patch_dims = self.tokenizer.num_embeddings if self.target == 'tokens' else values
        return dict(embed_dims=self.backbone.embed_dims, patch_dims=patch_dims)

    @property
    def num_patches(self) -> int:
        """N at the backbone's pre-training size."""
        rows, columns = self.backbone.grid
        return rows * columns

    def loss(self, images: Tensor) -> dict[str, Tensor]:
        """Equation 1 for normalized images (B, 3, H, W), with the objective of the config."""
        return dict(loss=self.patch_losses(images).mean())

    def patch_losses(self, images: Tensor) -> Tensor:
        """The loss of each patch of normalized images (B, 3, H, W): (B, N) in raster order."""
        ids = self.tokenize(images) if self.tokenizer is not None else None
        x_0 = ids if self.target == 'tokens' else self.clean_patches(images)  # (B, N[, P])
        x_s, gamma, epsilon = self.corrupt(x_0)  # section 3.3
        tokens, grid = self.embed(images, ids)
        z = self.encode(tokens, grid, self.sample_order(tokens))  # z_t = f(x_<t)
        prediction = self.decode(z, x_s, gamma)  # g(x_t^s, z_t)
        return self.simple_loss(prediction, x_0, epsilon)

    @torch.no_grad()
    def tokenize(self, images: Tensor) -> Tensor:
        """VQ tokens (B, N), int64, of normalized images (B, 3, H, W)."""
        return super().tokenize(self.to_unit_range(images))

    def clean_patches(self, images: Tensor) -> Tensor:
        """x_t^0, the target for normalized images (B, 3, H, W): (B, N, P), float32."""
        patches = self.patchify(images.float())
        if self.target == 'normalized-pixels':
            mean, std = patch_statistics(patches)
            patches = (patches - mean) / std
        return patches

    def corrupt(self, x_0: Tensor) -> tuple[Tensor, Tensor, Tensor] | tuple[None, None, None]:
        """The forward process, each patch with a noise level of its own (section 3.3).

        Args:
            x_0: (B, N, P), clean patches.

        Returns:
            x_t^s (B, N, P), gamma (B, N, 1) in [0, 1] and epsilon (B, N, P); three Nones if the
            model has no noise.
        """
        if self.noise is None:
            return None, None, None
        # gamma ~ Beta(a, b), one for each patch: (B, N, 1)
        gamma = self.noise.sample((*x_0.shape[:2], 1), x_0.device)
        epsilon = torch.randn_like(x_0)
        # x^s = sqrt(gamma) x^0 + sqrt(1 - gamma) epsilon
        return perturb(x_0, gamma, epsilon), gamma, epsilon

    def embed(self, images: Tensor, ids: Tensor | None = None) -> tuple[Tensor, tuple[int, int]]:
        """The backbone's input for each patch, without positions.

        Args:
            images: (B, 3, H, W), normalized.
            ids: (B, N), their VQ tokens, if known.

        Returns:
            (B, N, C) in raster order, and the grid (h, w).
        """
        if self.inputs == 'pixels':
            return self.backbone.embed_patches(images)
        ids = self.tokenize(images) if ids is None else ids
        return self.token_embed(ids), tuple(self.backbone.grid)

    def embed_values(self, values: Tensor) -> Tensor:
        """The backbone's input for single patches (B, k, P) or token ids (B, k): (B, k, C)."""
        if self.inputs == 'tokens':
            return self.token_embed(values)
        # k patches side by side are an image of one row.
        return self.backbone.embed_patches(self.unpatchify(values, (1, values.shape[1])))[0]

    def sample_order(self, tokens: Tensor) -> Tensor | None:
        """An order for each image of (B, N, C): (B, N), or None for the backbone's own."""
        if not self.random_order:
            return None
        # The argsort of uniform noise is a uniform permutation.
        return torch.rand(tokens.shape[:2], device=tokens.device).argsort(dim=1)

    def encode(self, tokens: Tensor, grid: tuple[int, int], order: Tensor | None = None) -> Tensor:
        """z_t = f(x_<t), the backbone's output for the patches before each one (section 3.1).

        Args:
            tokens: (B, N, C) of :meth:`embed`.
            grid: (h, w).
            order: (B, N) of :meth:`sample_order`.

        Returns:
            (B, N, C), z_t at the position of patch t.
        """
        return self.backbone.predict_next(tokens, grid, order)

    def decode(self, z: Tensor, x_s: Tensor | None = None, gamma: Tensor | None = None) -> Tensor:
        """g(x_t^s, z_t), the decoder's prediction.

        Args:
            z: (..., C).
            x_s: (..., P), the corrupted patch; only with noise.
            gamma: (..., 1), with ``x_s``.

        Returns:
            x^0 or epsilon (..., P), or the logits of the codes (..., K); float32.
        """
        # Losses and samplers need float32, also under autocast.
        return self.patch_decoder(z, x_s, gamma).float()

    def simple_loss(self, prediction: Tensor, x_0: Tensor, epsilon: Tensor | None) -> Tensor:
        """L_MSE, or L_SIMP with the diffusion objective (sections 3.2 and 3.3).

        Args:
            prediction: Output of :meth:`decode`.
            x_0: (B, N, P) clean patches, or VQ tokens (B, N).
            epsilon: (B, N, P), the noise.

        Returns:
            (B, N), the loss of each patch.
        """
        if self.target == 'tokens':
            # Equation 1 itself: -log p(x_t | x_<t), whose classes are the second axis.
            return F.cross_entropy(prediction.transpose(1, 2), x_0, reduction='none')
        # Equation 1 up to a factor and a constant: a Gaussian of constant variance has
        # -log p = ||f - x||^2 / (2 sigma^2) + const.
        target = epsilon if self.prediction == 'epsilon' else x_0
        return F.mse_loss(prediction, target, reduction='none').mean(-1)

    def denoise(self, z: Tensor, x_s: Tensor | None = None, gamma: Tensor | None = None) -> Tensor:
        """The predicted clean patch x_t^0; arguments of :meth:`decode`.

        With ``prediction='epsilon'`` gamma must be above 0; small values give patches far outside
        the range of pixels.
        """
        prediction = self.decode(z, x_s, gamma)
        if self.prediction == 'epsilon':
            # x^0 = (x^s - sqrt(1 - gamma) epsilon) / sqrt(gamma)
            return x0_from_epsilon(x_s, gamma, prediction)
        return prediction

    def patchify(self, images: Tensor) -> Tensor:
        """Patches of images, see :func:`mmaddp.models.layers.patchify`."""
        return patchify(images, self.backbone.patch_size)

    def unpatchify(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images of patches, see :func:`mmaddp.models.layers.unpatchify`."""
        return unpatchify(patches, grid, self.backbone.patch_size)

    def pixel_range(self) -> tuple[Tensor, Tensor]:
        """Black and white as normalized patches, (P,) each."""
        black, white = -self.mean / self.std, (1 - self.mean) / self.std
        # A patch holds its pixels one after another, three channels each: (p * p * 3,).
        return tuple(one.flatten().repeat(self.backbone.patch_size**2) for one in (black, white))

    def to_images(self, patches: Tensor, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), about [0, 1], from predicted or corrupted patches.

        Args:
            patches: (B, N, P), as :meth:`clean_patches` gives them.
            images: (B, 3, H, W), normalized: the source of the mean and std of normalized patches.
        """
        if self.target == 'normalized-pixels':
            mean, std = patch_statistics(self.patchify(images.float()))
            patches = patches * std + mean
        return self.to_unit_range(self.unpatchify(patches, self.grid_of(images)))

    @property
    def encoder_module(self) -> BaseEncoder:
        """The backbone."""
        return self.backbone

    def represent(self, images: Tensor) -> Tensor:
        """z (B, N, C) of normalized images, in the backbone's own order of prediction."""
        return self.encode(*self.embed(images))

    def encoder_inputs(self, images: Tensor) -> Tensor:
        """Normalized images.

        Raises:
            UserError: The backbone has not learned to see pixels.
        """
        if self.inputs == 'tokens':
            raise UserError(
                "the model reads VQ tokens (inputs='tokens'), its backbone has not learned to "
                "read pixels: take a model of inputs='pixels'"
            )
        return images

    def forward_intermediates(
        self,
        x: Tensor,
        layers: Sequence[str] | None = None,
        level: int | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Maps under the causal mask of the pre-training, from all patches."""
        # The backbone of a config for transfer may be without the mask.
        causal, self.backbone.causal = self.backbone.causal, True
        try:
            return super().forward_intermediates(x, layers, level, noise)
        finally:
            self.backbone.causal = causal

    def from_unit_range(self, images: Tensor) -> Tensor:
        """Images in [0, 1], normalized by ImageNet's mean and std."""
        return (images - self.mean) / self.std

    def to_unit_range(self, images: Tensor) -> Tensor:
        """Undo the normalization: images in [0, 1], up to rounding."""
        return images * self.std + self.mean

    @property
    def grid(self) -> tuple[int, int]:
        """The patches of an image of the backbone's pre-training size."""
        return tuple(self.backbone.grid)

    @property
    def stride(self) -> int:
        """Pixels of a patch."""
        return self.backbone.patch_size

    @property
    def samplers(self) -> dict[str, Any]:
        """The sampler of the objective: diffusion, mean squared error or tokens."""
        self.check_generates()
        if self.target == 'tokens':
            return {'tokens': TokenSampler()}
        return {'diffusion': PatchSampler()} if self.noise else {'mean': MeanSampler()}

    def check_generates(self) -> None:
        """Refuse a model whose predictions are not what it reads.

        Raises:
            UserError: Names the options.
        """
        if self.target != self.inputs:
            raise UserError(
                f"target='{self.target}' with inputs='{self.inputs}': predictions cannot be read "
                'as inputs of the next position; take a model whose target and inputs agree'
            )

    def sample_steps(self, sampler: Any, start: Start, noise: ImageNoise) -> Iterator[PatchStep]:
        """One step for each row of positions, and the last."""
        # All images of a batch mask equally many positions.
        columns, count = self.grid[1], int(start.masked[0].sum())
        for number, step in enumerate(sampler(self, *start, noise), start=1):
            if number % columns == 0 or number >= count:
                yield step

    def step_images(self, step: PatchStep) -> Tensor:
        """The image so far; missing positions are undefined."""
        return self.values_to_images(step.values, self.grid)

    def step_views(self, step: PatchStep) -> Tensor:
        """The image with missing positions in gray."""
        return gray_out(self.step_images(step), step.masked)[:, None]

    def values_to_images(self, values: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images (B, 3, H, W), about [0, 1], from patches or token ids."""
        if self.inputs == 'tokens':
            return self.tokenizer.decode(self.tokenizer.embed(values), grid)
        return self.to_unit_range(self.unpatchify(values, grid))

    def blank(self) -> Start:
        """All positions masked."""
        masked = torch.ones(1, self.num_patches, dtype=torch.bool)
        if self.inputs == 'tokens':
            return Start(torch.zeros_like(masked, dtype=torch.long), masked)
        # Known values are ignored where masked, so zeros do.
        return Start(torch.zeros(1, self.num_patches, 3 * self.stride**2), masked)

    def known_values(self, images: Tensor) -> Tensor:
        """Normalized patches (B, N, P) or token ids (B, N)."""
        images = self.from_unit_range(images)
        return self.tokenize(images) if self.inputs == 'tokens' else self.patchify(images)

    def check_start(self, sampler: Any, masked: Tensor) -> None:
        """Refuse masks that do not fit the model's order."""
        known_first(self, masked)

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """The prediction of each patch from the true ones before it."""
        self.check_level(level)
        self.check_generates()
        grid, values = self.grid_of(images), self.known_values(images)
        z = self.backbone.predict_next(self.embed_values(values), grid)
        return self.values_to_images(self.predict_values(z, values, noise), grid)

    def predict_values(self, z: Tensor, values: Tensor, noise: ImageNoise) -> Tensor:
        """The best prediction of each position from a single pass.

        Args:
            z: (B, N, C), of the true positions before each.
            values: (B, N, P) or (B, N), for their shape.
            noise: The noise of these images.

        Raises:
            UserError: The model predicts noise, which says nothing of a patch at gamma = 0.
        """
        if self.target == 'tokens':
            return self.decode(z).argmax(-1)
        if not self.noise:
            return self.denoise(z)
        if self.prediction == 'epsilon':
            raise UserError(
                "prediction='epsilon': one pass from pure noise cannot give the patch; generate or "
                'complete images instead'
            )
        # x^S is pure noise, gamma = 0.
        return self.denoise(z, noise.normal(values), z.new_zeros(*z.shape[:2], 1))

    @torch.no_grad()
    def visualize(
        self, inputs: Tensor, seed: int = 0, gamma: float = 0.1
    ) -> Iterator[tuple[str, Tensor, int]]:
        """All patches as predicted from the true ones before them.

        'predictions' shows from left to right: the image; the corrupted patches of the diffusion
        objective, or the tokenizer's reconstruction with tokens; and the predicted patches.

        Args:
            inputs: (B, 3, H, W), normalized.
            seed: Seed of the noise.
            gamma: Noise level of the corrupted patches; 1 is clean.
        """
        check_range('gamma', gamma, MIN_GAMMA, 1)
        z = self.represent(inputs)
        if self.target == 'tokens':
            ids = self.tokenize(inputs), self.decode(z).argmax(-1)
            views = [self.tokenizer.decode(self.tokenizer.embed(one)) for one in ids]
        elif self.noise is None:
            views = [self.to_images(self.denoise(z), inputs)]
        else:
            x_s, level = self.fixed_corruption(self.clean_patches(inputs), gamma, seed)
            views = [self.to_images(one, inputs) for one in (x_s, self.denoise(z, x_s, level))]
        yield 'predictions', *rows_of([self.to_unit_range(inputs), *views])

    def fixed_corruption(self, x_0: Tensor, gamma: float, seed: int) -> tuple[Tensor, Tensor]:
        """x_t^s (B, N, P) and gamma (B, N, 1) from a seed, with one noise level for all patches."""
        # Sampled on the CPU, so that every device shows the same noise.
        generator = torch.Generator().manual_seed(seed)
        epsilon = torch.randn(x_0.shape, generator=generator).to(x_0)
        level = torch.full_like(x_0[..., :1], gamma)
        return perturb(x_0, level, epsilon), level
