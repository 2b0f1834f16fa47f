"""A part of a pre-training out of any file that holds it."""

from __future__ import annotations

from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaddp.checkpoints import read_part
from mmaddp.utils import UserError

from .layers import Vocabulary

State = dict[str, Tensor]
ARCHITECTURES = {(768, 12, 3072): 'base', (1024, 24, 4096): 'large', (1280, 32, 5120): 'huge'}


class PretrainedPart(BaseModule):
    """A module that ``init_cfg=dict(type='Pretrained', checkpoint=PATH)`` fills from any file."""

    part = ''

    def init_weights(self) -> None:
        """Take the weights of ``init_cfg``, if any."""
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        if not pretrained or self.is_init:
            super().init_weights()
            return
        load_pretrained_part(self, self.init_cfg['checkpoint'], self.part)
        self._is_init = True


def load_pretrained_part(module: nn.Module, path: str | Path, part: str) -> None:
    """Load one part of a published or converted file, or of a checkpoint of ours.

    Args:
        module: :class:`mmaddp.models.VQGAN`, :class:`mmaddp.models.MAGE` or
            :class:`mmaddp.models.ADDPDecoder`.
        path: Any file that :func:`mmaddp.checkpoints.read_part` takes.
        part: 'tokenizer', 'token_predictor' or 'decoder'.

    Raises:
        UserError: The file cannot be read, holds no such part, or one of other sizes; the message
            names the file and the settings that would fit. Nothing is loaded then.
    """
    state = read_part(path, part)
    holds, builds = SETTINGS[part](state), SETTINGS[part](module.state_dict())
    differing = [name for name in holds if holds[name] != builds[name]]
    if differing:
        raise UserError(
            f'{path}: holds a {part} with {listed(holds, differing)}, the config builds '
            f'{listed(builds, differing)}: set {listed(holds, differing)} in the {part}'
        )
    module.load_state_dict(state, strict=True)
    print_log(f'{path}: {part} loaded', 'current')


def listed(settings: dict[str, object], names: list[str]) -> str:
    """Settings as a config has them."""
    return ', '.join(f'{name}={settings[name]}' for name in names)


def tokenizer_settings(state: State) -> dict[str, object]:
    """The arguments of VQGAN that build a module with these tensors."""
    codes, channels = state['quantize.embedding.weight'].shape
    base_channels = len(state['encoder.conv_in.weight'])
    return dict(base_channels=base_channels, embed_dims=channels, num_embeddings=codes)


def token_predictor_settings(state: State) -> dict[str, object]:
    """The arguments of MAGE, heads aside, which no tensor tells."""
    encoder, decoder = sizes(state, 'blocks'), sizes(state, 'decoder_blocks')
    width, _, hidden = encoder
    return dict(
        encoder=architecture(*encoder),
        decoder=None if decoder == (width, 8, hidden) else architecture(*decoder),
        num_patches=len(state['token_embed.position.weight']) - 1,
        num_embeddings=num_codes(state['token_embed.word.weight']),
    )


def decoder_settings(state: State) -> dict[str, object]:
    """The arguments of ADDPDecoder, heads aside, which no tensor tells."""
    width, num_layers, hidden = sizes(state, 'blocks')
    return dict(
        embed_dims=width,
        num_layers=num_layers,
        mlp_ratio=hidden / width,
        in_channels=state['embed.weight'].shape[1],
        num_patches=state['pixel_pos_embed'].shape[1] - 1,
        num_embeddings=num_codes(state['token_embed.weight']),
        token_input='token_pos_embed' in state,
    )


SETTINGS = {
    'tokenizer': tokenizer_settings,
    'token_predictor': token_predictor_settings,
    'decoder': decoder_settings,
}


def sizes(state: State, stack: str) -> tuple[int, int, int]:
    """Channels, blocks, and channels inside the MLPs of a stack of blocks."""
    hidden, width = state[f'{stack}.0.mlp.fc1.weight'].shape
    blocks = {name.split('.')[1] for name in state if name.startswith(f'{stack}.')}
    return width, len(blocks), hidden


def architecture(width: int, num_layers: int, hidden: int) -> str:
    """A stack of blocks as a config has it, by name where it has one."""
    name = ARCHITECTURES.get((width, num_layers, hidden))
    ratio = '' if hidden == 4 * width else f', mlp_ratio={hidden / width}'
    settings = f'dict(embed_dims={width}, num_layers={num_layers}, num_heads=...{ratio})'
    return repr(name) if name else settings


def num_codes(words: Tensor) -> int:
    """K, behind which the vocabulary has the classes and the mask."""
    return len(words) - len(Vocabulary(0))
