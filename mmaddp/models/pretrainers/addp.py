"""ADDP's pre-training: the steps of algorithm 1, each a method."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import broadcast, get_dist_info
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.diffusion import MAPPINGS, masks_from_noise
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import UserError, check_choice

from ..layers import Block
from ..pixel_values import IMAGES_TO_UNIT_RANGE, register_imagenet_statistics
from ..tokenizers.vqgan_layers import Decoder, Encoder
from .addp_checks import check_compile_options, check_parts, check_width
from .addp_decoder import embed_reliable
from .frozen import FrozenTokenizer

TARGETS = ('q', 'delta', 'q+delta')
CONDITIONS = ('z_t+1', 'z_t')
TOKEN_INPUTS = ('encoder+decoder', 'decoder', 'none')


@MODELS.register_module()
class ADDP(FrozenTokenizer, BaseModel):
    """Alternating denoising diffusion of pixels and VQ tokens.

    Tokenizer and token predictor are frozen; encoder and decoder learn. N is the number of tokens
    of an image, K that of codes, V that of words; z_t are token ids (B, N) of which those at
    ``~m_t`` are reliable, m_t is bool (B, N), x_t are images (B, 3, H, W).

    Args:
        encoder: A plain ViT with ``forward_tokens``, or any backbone whose last map has stride 16
            or is brought to the grid of tokens by ``neck``.
        decoder: :class:`ADDPDecoder`.
        tokenizer: :class:`mmaddp.models.VQGAN`.
        token_predictor: :class:`mmaddp.models.MAGE`; None for a model that only generates.
        neck: What brings the maps of a backbone to the grid of tokens.
        mapping: f of equation 7: 'WeightedSum', 'ArgMax' or 'Sampling' (table 4).
        condition: What unreliable tokens are predicted from (table 3): 'z_t+1' for
            ``q(z_bar_t | z_t+1)``, 'z_t' for ``q(z_bar_t | z_t)``.
        token_input: Where reliable tokens are fed in (table 5): 'encoder+decoder', 'decoder' or
            'none'.
        target: What is predicted (table 6): 'q' for ``q(z_bar_t-1 | z_t)``, 'delta' for the tokens
            themselves, 'q+delta' for both in equal parts.
        mask_schedule: Config of the schedule, by default a :class:`mmaddp.diffusion.MaskSchedule`.
        label_smoothing: Share of the target that is spread over all V words.
        shared_ratio: One mask ratio for the whole batch of all processes, so that N processes
            compute what one would; else each draws its own, as the authors do.
        frozen_dtype: 'float32', 'bfloat16' or 'float16' for tokenizer and token predictor; None
            for what the optimizer wrapper runs the rest in.
        channels_last: Keep the channels of the tokenizer's convolutions side by side in memory.
        compile: ``dict()`` compiles transformer blocks and the tokenizer's two networks as they are
            first run; its items are arguments of ``torch.compile``. None leaves them.
        data_preprocessor: Must give images in [0, 1], RGB.
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: An option is unknown, or parts do not fit each other.
    """

    timed_steps = ('tokenize', 'predict_tokens', 'synthesize', 'encode', 'decode')

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        tokenizer: dict,
        token_predictor: dict | None = None,
        neck: dict | None = None,
        mapping: str = 'WeightedSum',
        condition: str = 'z_t+1',
        token_input: str = 'decoder',
        target: str = 'q',
        mask_schedule: dict | None = None,
        label_smoothing: float = 0.1,
        shared_ratio: bool = False,
        frozen_dtype: str | None = None,
        channels_last: bool = False,
        compile: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor or IMAGES_TO_UNIT_RANGE, init_cfg)
        check_choice('mapping', mapping, MAPPINGS)
        check_choice('condition', condition, CONDITIONS)
        check_choice('token_input', token_input, TOKEN_INPUTS)
        check_choice('target', target, TARGETS)
        self.map_probs = MAPPINGS[mapping]
        self.condition, self.token_input, self.target_kind = condition, token_input, target
        schedule = {'type': 'mmaddp.MaskSchedule', **(mask_schedule or {})}
        self.mask_schedule = TASK_UTILS.build(schedule)
        self.label_smoothing, self.shared_ratio = label_smoothing, shared_ratio
        self.set_frozen_dtype(frozen_dtype)

        self.encoder = MODELS.build(encoder)
        self.neck = MODELS.build(neck) if neck else None
        self.tokenizer = MODELS.build(tokenizer)
        self.token_predictor = MODELS.build(token_predictor) if token_predictor else None
        if 'token_input' in decoder:
            raise UserError('model.decoder.token_input: set model.token_input instead')
        self.decoder = MODELS.build(dict(decoder, token_input=token_input != 'none'))
        if token_input == 'encoder+decoder':
            positions = torch.zeros_like(self.decoder.token_pos_embed)
            self.encoder_token_pos_embed = nn.Parameter(positions.normal_(std=0.02))
        check_parts(self)
        if channels_last:
            self.tokenizer.to(memory_format=torch.channels_last)
        if compile is not None:
            check_compile_options(compile)
            compile_networks(self, **compile)
        register_imagenet_statistics(self)
        self.freeze('tokenizer', *(['token_predictor'] if token_predictor else []))

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | Tensor:
        """Losses of a batch ('loss'), or the encoder's tokens of images in [0, 1] ('tensor').

        Args:
            inputs: (B, 3, H, W) in [0, 1], or for 'loss' token ids (B, N), int64, computed ahead.
            data_samples: Not looked at.
            mode: 'loss' or 'tensor'.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'tensor':
            return self.encode(inputs)
        raise ValueError(f"mode '{mode}' is neither 'loss' nor 'tensor'")

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """Algorithm 1, lines 2 to 11; ``inputs`` as in :meth:`forward`."""
        z_0 = self.tokenize(inputs)
        mask_t, mask_other = self.sample_masks(*z_0.shape, z_0.device)
        probs_target, probs_t = self.predict_tokens(z_0, mask_t, mask_other)
        x_t = self.synthesize(z_0, mask_t, probs_t)
        e_t = self.encode(x_t, z_0, mask_t)
        logits = self.decode(e_t, z_0, mask_t)
        loss = self.denoising_loss(logits, self.target(probs_target, z_0), mask_t)
        return dict(loss=loss, mask_ratio=mask_t[0].float().mean())

    def sample_masks(self, batch: int, tokens: int, device: Any) -> tuple[Tensor, Tensor]:
        """m_t, and m_t+1 (or m_t-1, see ``condition``), which nest (lines 2 and 3)."""
        rank, processes = get_dist_info() if self.shared_ratio else (0, 1)
        direction = 1 if self.condition == 'z_t+1' else -1
        # On the CPU: reading it back from a GPU would wait for the tokenizer there.
        indices = torch.tensor(self.mask_schedule.sample(direction))
        noise = torch.rand(batch * processes, tokens).to(device)
        if processes > 1:
            broadcast(indices)
            broadcast(noise)
        counts = [self.mask_schedule.num_masked(i, tokens) for i in indices.tolist()]
        return tuple(masks_from_noise(noise[rank::processes], count) for count in counts)

    @property
    def num_patches(self) -> int:
        """N, places of an image."""
        return self.decoder.num_patches

    @torch.no_grad()
    def predict_tokens(
        self, z_0: Tensor, mask_t: Tensor, mask_other: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The distributions of the target z_bar_t-1 and of z_bar_t, (B, N, K) each (line 7).

        Both passes of the token predictor are one batch. The target 'delta' needs only the second,
        which then stands for both.
        """
        if self.token_predictor is None:
            raise UserError('this model has no token_predictor, which pre-training needs')
        masks = self.prediction_masks(mask_t, mask_other)[self.target_kind == 'delta' :]
        with self.frozen_precision(z_0.device):
            probs = self.token_predictor(z_0.repeat(len(masks), 1), torch.cat(masks))
        chunks = probs.chunk(len(masks))
        return chunks[0], chunks[-1]

    def prediction_masks(self, mask_t: Tensor, mask_other: Tensor) -> tuple[Tensor, Tensor]:
        """What is hidden where z_bar_t-1 is predicted, and where z_bar_t is (table 3)."""
        return (mask_t, mask_other) if self.condition == 'z_t+1' else (mask_other, mask_t)

    @torch.no_grad()
    def synthesize(self, z_t: Tensor, mask_t: Tensor, probs_t: Tensor) -> Tensor:
        """x_t = VQ-Decoder(z_t (1 - m_t) + f(z_bar_t) m_t), equation 7 (line 8).

        Args:
            z_t: (B, N) token ids; those at masked places are not looked at.
            mask_t: (B, N) bool.
            probs_t: (B, N, K), the distribution of z_bar_t.

        Returns:
            (B, 3, H, W), not clamped.
        """
        with self.frozen_precision(z_t.device):
            unreliable = self.map_probs(probs_t) @ self.tokenizer.codebook.to(probs_t)
            reliable = self.tokenizer.embed(z_t).to(unreliable)
            return self.tokenizer.decode(torch.where(mask_t[..., None], unreliable, reliable))

    def encode(
        self, x_t: Tensor, z_t: Tensor | None = None, mask_t: Tensor | None = None
    ) -> Tensor:
        """e_t = Encoder(x_t) (line 9).

        Args:
            x_t: (B, 3, H, W), clamped to [0, 1] and normalized here.
            z_t: (B, N) token ids, which only ``token_input='encoder+decoder'`` looks at.
            mask_t: (B, N) bool, with ``z_t``.

        Returns:
            (B, [1 +] N, C), class token first where the encoder has one.
        """
        images = (x_t.float().clamp(0, 1) - self.mean) / self.std
        if self.token_input == 'encoder+decoder' and z_t is not None:
            tokens = embed_reliable(
                self.decoder.token_embed, self.encoder_token_pos_embed, z_t, mask_t
            )
            return self.encoder.forward_tokens(images, tokens)[:, : -tokens.shape[1] or None]
        if hasattr(self.encoder, 'forward_tokens'):
            return self.encoder.forward_tokens(images)
        maps = self.encoder(images)
        maps = self.neck(maps) if self.neck is not None else maps
        grid = tuple(side // self.tokenizer.stride for side in images.shape[-2:])
        if maps[-1].ndim != 4 or maps[-1].shape[-2:] != grid:
            raise UserError(
                f'the encoder gives {tuple(maps[-1].shape)}, not maps (B, C, *{grid}): set '
                "out_indices to a map of stride 16, out_type='featmap' for a ViT of MMPretrain, or "
                'a neck that brings it there'
            )
        check_width(self.decoder, maps[-1].shape[1])
        return maps[-1].flatten(2).transpose(1, 2)

    def decode(self, e_t: Tensor | None, z_t: Tensor, mask_t: Tensor) -> Tensor:
        """Decoder(e_t (1 - m_t) + e_mask m_t), equation 2 (line 10).

        Args:
            e_t: (B, [1 +] N, C); None where all places are masked.
            z_t: (B, N) token ids; those at masked places are not looked at.
            mask_t: (B, N) bool.

        Returns:
            Logits (B, N, V), the K codes first.
        """
        features = e_t[:, -z_t.shape[1] :] if e_t is not None else None
        return self.decoder(features, z_t, mask_t)

    def target(self, probs: Tensor, z_0: Tensor) -> Tensor:
        """What is predicted at every place, (B, N, K) (table 6)."""
        if self.target_kind == 'q':
            return probs
        delta = F.one_hot(z_0, probs.shape[-1]).to(probs)
        return delta if self.target_kind == 'delta' else (probs + delta) / 2

    def denoising_loss(self, logits: Tensor, target: Tensor, mask_t: Tensor) -> Tensor:
        """Cross entropy on masked places, L_t of equation 6 (line 11).

        Args:
            logits: (B, N, V).
            target: (B, N, K), probabilities of the codes.
            mask_t: (B, N) bool.

        Returns:
            The mean over all masked places, with the target smoothed over all V words.
        """
        logits, target = logits[mask_t].float(), target[mask_t].float()
        target = F.pad(target, (0, logits.shape[-1] - target.shape[-1]))
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)


def compile_networks(model: nn.Module, **options: Any) -> None:
    """Compile what a step spends its time in, module by module.

    The step as a whole has a different number of reliable tokens each time; only the decoder's
    blocks see that, and they are compiled a second time, for any number.
    """
    for module in model.modules():
        if isinstance(module, (Block, Encoder, Decoder)):
            module.compile(**options)
