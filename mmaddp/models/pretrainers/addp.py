"""ADDP: algorithm 1 step by step, then its features, its visualization and its sampling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.dist import broadcast, get_dist_info
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.diffusion import MAPPINGS, ADDPSampler, ImageNoise, Step, masks_from_noise
from mmaddp.registry import MODELS, TASK_UTILS
from mmaddp.utils import UserError, check_choice

from ..backbones import BaseEncoder
from ..inspection import gray_out
from ..layers import Block
from ..pixel_values import IMAGES_TO_UNIT_RANGE, register_imagenet_statistics
from ..tokenizers import vqgan_layers
from .addp_decoder import embed_reliable
from .base import Pretrainer, Start, TokenGenerator, rows_of

TARGETS = ('q', 'delta', 'q+delta')
CONDITIONS = ('z_t+1', 'z_t')
TOKEN_INPUTS = ('encoder+decoder', 'decoder', 'none')


@MODELS.register_module()
class ADDP(TokenGenerator, Pretrainer):
    """Alternating denoising diffusion of pixels and VQ tokens.

    Tokenizer and token predictor are frozen; encoder and decoder learn. An image has N tokens, the
    tokenizer K codes, the vocabulary V entries. z_t (B, N) are token ids, reliable at ``~m_t``;
    m_t (B, N) is bool; x_t (B, 3, H, W) are images.

    Args:
        encoder: A plain ViT with ``forward_tokens``, or any backbone whose last map has stride 16.
        decoder: :class:`ADDPDecoder`.
        tokenizer: :class:`mmaddp.models.VQGAN`.
        token_predictor: :class:`mmaddp.models.MAGE`; None for a model that only generates. Its
            ``drop_rate`` applies in training.
        neck: Resizes the maps of a backbone of another stride to the grid of tokens.
        mapping: f of equation 7: 'WeightedSum', 'ArgMax' or 'Sampling' (table 4).
        condition: Condition of unreliable tokens (table 3): 'z_t+1' for ``q(z_bar_t | z_t+1)``,
            'z_t' for ``q(z_bar_t | z_t)``.
        token_input: Parts that take reliable tokens (table 5): 'encoder+decoder', 'decoder' or
            'none'.
        target: Target distribution (table 6): 'q' for ``q(z_bar_t-1 | z_t)``, 'delta' for the
            tokens themselves, 'q+delta' for both in equal parts.
        mask_schedule: Config of the schedule, by default a :class:`mmaddp.diffusion.MaskSchedule`.
        label_smoothing: Share of the target that is spread over all V entries.
        shared_ratio: Share one mask ratio among all processes, so that several compute what one
            would. Otherwise each samples its own, as the authors' code does.
        code_embeddings: Start the decoder's embeddings of tokens from the tokenizer's codebook; not
            in the paper.
        frozen_dtype: 'float32', 'bfloat16' or 'float16' for tokenizer and token predictor; None
            for the precision of the rest.
        channels_last: Memory format of the tokenizer's convolutions on GPUs. On CPUs channels are
            always last.
        compile: Arguments of ``torch.compile`` for transformer blocks and tokenizer, ``dict()`` for
            its defaults. None compiles nothing.
        data_preprocessor: Must give images in [0, 1], RGB.
        init_cfg: As for any module of MMEngine.

    Raises:
        UserError: An option is unknown, or parts do not fit each other.
    """

    timed_steps = ('tokenize', 'predict_tokens', 'synthesize', 'encode', 'decode')
    checkpoint_prefixes = ('encoder.', 'decoder.')
    input_parts = ()  # the encoder sees pixels
    training_parts = ('token_predictor',)

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
        code_embeddings: bool = False,
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
        self.code_embeddings = code_embeddings
        self.set_frozen_dtype(frozen_dtype)

        self.encoder = MODELS.build(encoder)
        self.neck = MODELS.build(neck) if neck else None
        self.tokenizer = MODELS.build(tokenizer)
        self.token_predictor = MODELS.build(token_predictor) if token_predictor else None
        self.decoder = MODELS.build(dict(**decoder, token_input=token_input != 'none'))
        if token_input == 'encoder+decoder':
            # The encoder has positions of its own for reliable tokens.
            positions = torch.zeros_like(self.decoder.token_pos_embed)
            self.encoder_token_pos_embed = nn.Parameter(positions.normal_(std=0.02))
        self.check_sizes()
        if channels_last:
            self.tokenizer.to(memory_format=torch.channels_last)
        if compile is not None:
            compile_networks(self, **compile)
        register_imagenet_statistics(self)
        self.freeze('tokenizer', *(['token_predictor'] if token_predictor else []))

    def init_weights(self) -> None:
        """Initialize all parts, then the embeddings by the tokenizer."""
        super().init_weights()
        if self.code_embeddings:
            self.start_from_codes(self.decoder, self.decoder.token_embed)

    def train(self, mode: bool = True) -> ADDP:
        """Set the mode; the tokenizer stays in evaluation mode."""
        super().train(mode)
        if self.token_predictor is not None:
            # The authors' model.train() reaches its dropout (engine_pretrain.py, line 18).
            self.token_predictor.train(mode)
        return self

    def check_sizes(self) -> None:
        """Refuse parts of different sizes.

        Raises:
            UserError: Names the option and the sizes of the parts.
        """
        codes = {'tokenizer': self.tokenizer.num_embeddings}
        codes['decoder'] = self.decoder.vocabulary.num_codes
        patches = {'decoder': self.decoder.num_patches}
        if self.token_predictor is not None:
            codes['token_predictor'] = self.token_predictor.vocabulary.num_codes
            patches['token_predictor'] = self.token_predictor.num_patches
        self.check_agreement('num_embeddings', codes)
        self.check_agreement('num_patches', patches)
        if hasattr(self.encoder, 'forward_tokens'):
            self.decoder.check_width(self.encoder.embed_dims)

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """Algorithm 1, lines 2 to 11.

        Args:
            inputs: (B, 3, H, W) in [0, 1], or precomputed token ids (B, N), int64.
        """
        z_0 = self.tokenize(inputs)  # line 5
        mask_t, mask_other = self.sample_masks(*z_0.shape, z_0.device)  # lines 2 and 3
        probs_target, probs_t = self.predict_tokens(z_0, mask_t, mask_other)  # line 7
        x_t = self.synthesize(z_0, mask_t, probs_t)  # line 8, equation 7
        e_t = self.encode(x_t, z_0, mask_t)  # line 9
        logits = self.decode(e_t, z_0, mask_t, wanted=mask_t)  # line 10, equation 2
        # Line 11, equation 6.
        loss = self.denoising_loss(logits, self.target(probs_target, z_0), mask_t)
        return dict(loss=loss, mask_ratio=mask_t[0].float().mean())

    def sample_masks(self, batch: int, tokens: int, device: Any) -> tuple[Tensor, Tensor]:
        """m_t, and m_t+1 (or m_t-1, see ``condition``), which nest (lines 2 and 3)."""
        rank, processes = get_dist_info() if self.shared_ratio else (0, 1)
        direction = 1 if self.condition == 'z_t+1' else -1
        # On the CPU: reading them back from a GPU would wait for the tokenizer.
        indices = torch.tensor(self.mask_schedule.sample(direction))
        noise = torch.rand(batch * processes, tokens).to(device)
        if processes > 1:
            broadcast(indices)
            broadcast(noise)
        counts = [self.mask_schedule.num_masked(i, tokens) for i in indices.tolist()]
        # The same noise for both masks, so that they nest. Each process takes its own rows.
        return tuple(masks_from_noise(noise[rank::processes], count) for count in counts)

    @property
    def num_patches(self) -> int:
        """N, positions of an image."""
        return self.decoder.num_patches

    @torch.no_grad()
    def predict_tokens(
        self, z_0: Tensor, mask_t: Tensor, mask_other: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The distributions of the target z_bar_t-1 and of z_bar_t, (B, N, K) each (line 7).

        Both passes of the token predictor are one batch. The target 'delta' needs only the second,
        which is then returned for both.
        """
        masks = self.prediction_masks(mask_t, mask_other)[self.target_kind == 'delta' :]
        # z_t is z_0 at the positions that are not masked, in both passes.
        with self.frozen_precision(z_0.device):
            # (2 B, N, K), or (B, N, K) for 'delta'
            probs = self.token_predictor(z_0.repeat(len(masks), 1), torch.cat(masks))
        chunks = probs.chunk(len(masks))
        return chunks[0], chunks[-1]

    def prediction_masks(self, mask_t: Tensor, mask_other: Tensor) -> tuple[Tensor, Tensor]:
        """Masks for the predictions of z_bar_t-1 and of z_bar_t (table 3)."""
        return (mask_t, mask_other) if self.condition == 'z_t+1' else (mask_other, mask_t)

    @torch.no_grad()
    def synthesize(self, z_t: Tensor, mask_t: Tensor, probs_t: Tensor) -> Tensor:
        """x_t = VQ-Decoder(z_t (1 - m_t) + f(z_bar_t) m_t), equation 7 (line 8).

        Args:
            z_t: (B, N) token ids; ignored at masked positions.
            mask_t: (B, N) bool.
            probs_t: (B, N, K), the distribution of z_bar_t.

        Returns:
            (B, 3, H, W), not clamped.
        """
        with self.frozen_precision(z_t.device):
            # f(z_bar_t): the expected code for 'WeightedSum', one code for the other mappings.
            unreliable = self.map_probs(probs_t) @ self.tokenizer.codebook.to(probs_t)
            reliable = self.tokenizer.embed(z_t).to(unreliable)
            return self.tokenizer.decode(torch.where(mask_t[..., None], unreliable, reliable))

    def encode(
        self, x_t: Tensor, z_t: Tensor | None = None, mask_t: Tensor | None = None
    ) -> Tensor:
        """e_t = Encoder(x_t) (line 9).

        Args:
            x_t: (B, 3, H, W), clamped to [0, 1] and normalized here.
            z_t: (B, N) token ids, used only by ``token_input='encoder+decoder'``.
            mask_t: (B, N) bool, with ``z_t``.

        Returns:
            (B, [1 +] N, C), class token first where the encoder has one.
        """
        images = self.encoder_inputs(x_t)
        if self.token_input == 'encoder+decoder' and z_t is not None:
            # The R reliable tokens follow the patches, and leave no output.
            tokens = embed_reliable(
                self.decoder.token_embed, self.encoder_token_pos_embed, z_t, mask_t
            )
            return self.encoder.forward_tokens(images, tokens)[:, : -tokens.shape[1] or None]
        if hasattr(self.encoder, 'forward_tokens'):
            return self.encoder.forward_tokens(images)
        # Any other backbone: its last map, one position for each token.
        maps = self.encoder(images)
        maps = self.neck(maps) if self.neck is not None else maps
        grid = tuple(side // self.tokenizer.stride for side in images.shape[-2:])
        if maps[-1].ndim != 4 or maps[-1].shape[-2:] != grid:
            raise UserError(
                f'the encoder gives {tuple(maps[-1].shape)}, not maps (B, C, *{grid}): set '
                "out_indices to a map of stride 16, out_type='featmap' for a ViT of MMPretrain, or "
                'add a neck'
            )
        self.decoder.check_width(maps[-1].shape[1])
        return maps[-1].flatten(2).transpose(1, 2)

    def decode(self, e_t: Tensor | None, z_t: Tensor, mask_t: Tensor, **options: Any) -> Tensor:
        """Decoder(e_t (1 - m_t) + e_mask m_t), equation 2 (line 10).

        Args:
            e_t: (B, [1 +] N, C); None if all positions are masked.
            z_t: (B, N) token ids; ignored at masked positions.
            mask_t: (B, N) bool.
            **options: ``wanted`` and ``num_entries`` of the decoder, to score less.

        Returns:
            Logits (B, N, V), the K codes first.
        """
        # The decoder has a class position of its own.
        features = e_t[:, -z_t.shape[1] :] if e_t is not None else None
        return self.decoder(features, z_t, mask_t, **options)

    def code_probs(self, e_t: Tensor | None, z_t: Tensor, mask_t: Tensor) -> Tensor:
        """The distributions over the codes at masked positions, (B, N, K) (algorithm 2, line 5).

        Arguments are those of :meth:`decode`. At other positions all codes are equal.
        """
        num_codes = self.tokenizer.num_embeddings
        logits = self.decode(e_t, z_t, mask_t, wanted=mask_t, num_entries=num_codes)
        return logits.float().softmax(-1)

    def target(self, probs: Tensor, z_0: Tensor) -> Tensor:
        """The target distribution of every position, (B, N, K) (table 6)."""
        if self.target_kind == 'q':
            return probs
        delta = F.one_hot(z_0, probs.shape[-1]).to(probs)
        return delta if self.target_kind == 'delta' else (probs + delta) / 2

    def denoising_loss(self, logits: Tensor, target: Tensor, mask_t: Tensor) -> Tensor:
        """Cross entropy at masked positions, L_t of equation 6 (line 11).

        Args:
            logits: (B, N, V).
            target: (B, N, K), probabilities of the codes.
            mask_t: (B, N) bool.

        Returns:
            The mean over all masked positions, with the target smoothed over all V entries.
        """
        # (B, N, V) and (B, N, K) -> (M, V) and (M, K), the M masked positions of the batch
        logits, target = logits[mask_t].float(), target[mask_t].float()
        # Classes and mask are never targets, but label smoothing covers them.
        target = F.pad(target, (0, logits.shape[-1] - target.shape[-1]))
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing)

    @property
    def encoder_module(self) -> BaseEncoder:
        """The encoder; other libraries' backbones have no named layers."""
        return self.encoder

    def represent(self, images: Tensor) -> Tensor:
        """The encoder's tokens of images in [0, 1], (B, [1 +] N, C)."""
        return self.encode(images)

    def encoder_inputs(self, images: Tensor) -> Tensor:
        """Images in [0, 1], clamped and normalized."""
        return (images.float().clamp(0, 1) - self.mean) / self.std

    def convert_weights(self, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        """Any file that converts to the target 'pretrain'."""
        return convert_checkpoint(checkpoint, target='pretrain')

    @property
    def samplers(self) -> dict[str, Any]:
        """Algorithm 2."""
        return {'addp': ADDPSampler()}

    def sample_steps(self, sampler: ADDPSampler, start: Start, noise: ImageNoise) -> Iterator[Step]:
        """All steps of algorithm 2."""
        return sampler(self, *start, noise)

    def step_images(self, step: Step) -> Tensor:
        """x_t."""
        return step.x_t

    def step_views(self, step: Step) -> Tensor:
        """x_t, and x_t with unreliable positions in gray (figure 8)."""
        return torch.stack([step.x_t, gray_out(step.x_t, step.m_t)], dim=1)

    def check_start(self, sampler: ADDPSampler, masked: Tensor) -> None:
        """Refuse more steps than tokens to generate."""
        for count in masked.sum(1).unique().tolist():
            sampler.check_steps(count)

    def reconstruct(self, images: Tensor, noise: ImageNoise, level: int | None = None) -> Tensor:
        """The images after a pass through the tokenizer."""
        self.check_level(level)
        return super().reconstruct(images, noise, level)

    @torch.no_grad()
    def visualize(
        self,
        inputs: Tensor,
        seed: int = 0,
        mask_ratio: float = 0.75,
        num_samples: int = 8,
        sample_steps: int = 20,
    ) -> Iterator[tuple[str, Tensor, int]]:
        """Predictions and samples.

        'predictions' shows from left to right: the image (unless training reads tokens), the
        tokenizer's reconstruction, the same with masked tokens in gray, x_t, and the most probable
        tokens. 'samples' shows images generated by algorithm 2.

        Args:
            inputs: (B, 3, H, W) in [0, 1], or token ids (B, N).
            seed: Seed of masks and samples.
            mask_ratio: Share of masked tokens; the nearest ratio of the schedule is taken.
            num_samples: Images to generate.
            sample_steps: Steps of the sampler, at most the number of tokens.
        """
        masks = self.fixed_masks(len(inputs), mask_ratio, seed, inputs.device)
        yield 'predictions', *rows_of(self.prediction_views(inputs, *masks))
        if num_samples:
            sampler = self.sampler(steps=min(sample_steps, self.num_patches))
            yield 'samples', self.sample(ImageNoise(seed, range(num_samples)), sampler), 4

    def fixed_masks(
        self, batch: int, mask_ratio: float, seed: int, device: Any
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`sample_masks`, of the nearest ratio of the schedule and a seed."""
        index = int((self.mask_schedule.ratios - mask_ratio).abs().argmin())
        # Training takes 1 to 5 steps, 3 on average.
        other = index + (3 if self.condition == 'z_t+1' else -3)
        other = min(max(other, 0), len(self.mask_schedule.ratios) - 1)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(batch, self.num_patches, generator=generator).to(device)
        counts = [self.mask_schedule.num_masked(i, self.num_patches) for i in (index, other)]
        return tuple(masks_from_noise(noise, count) for count in counts)

    def prediction_views(self, inputs: Tensor, mask_t: Tensor, mask_other: Tensor) -> list[Tensor]:
        """What a step of algorithm 1 sees and predicts, as images (B, 3, H, W) each."""
        z_0 = self.tokenize(inputs)
        _, probs_t = self.predict_tokens(z_0, mask_t, mask_other)
        x_t = self.synthesize(z_0, mask_t, probs_t)
        logits = self.decode(self.encode(x_t, z_0, mask_t), z_0, mask_t)
        # Among the K codes: classes and mask have no image.
        likeliest = logits[..., : self.tokenizer.num_embeddings].argmax(-1)
        decode, embed = self.tokenizer.decode, self.tokenizer.embed
        reconstruction = decode(embed(z_0))
        predicted = decode(embed(torch.where(mask_t, likeliest, z_0)))
        seen = gray_out(reconstruction, mask_t)
        images = [inputs] if inputs.is_floating_point() else []
        return [*images, reconstruction, seen, x_t, predicted]


def compile_networks(model: nn.Module, **options: Any) -> None:
    """Compile the expensive modules one by one.

    The number of reliable tokens changes at each step. Only the decoder's blocks see it, so only
    they are compiled again, for a dynamic length.
    """
    for module in model.modules():
        if isinstance(module, (Block, vqgan_layers.Encoder, vqgan_layers.Decoder)):
            module.compile(**options)
