"""The folders that the library ``diffusers`` saves: pipelines and models, read without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from mmaddp.utils import UserError

from .sources.addp import fixed_positions

PIPELINE, CONFIG = 'model_index.json', 'config.json'
DENOISERS = ('transformer', 'unet')
WEIGHTS = ('diffusion_pytorch_model.safetensors', 'diffusion_pytorch_model.bin')
DIT = ('DiTTransformer2DModel', 'Transformer2DModel')
KNOWN = (*DIT, 'UNet2DModel')
# What DDAEDiT has, and a config of theirs may leave out.
DIT_SETTINGS = dict(
    activation_fn='gelu-approximate', norm_type='ada_norm_zero', norm_elementwise_affine=False
)


def weights_file(path: Path) -> Path:
    """The file with a denoising network's weights in such a folder; other paths as they are.

    Raises:
        UserError: The folder's network is another, or has its weights in several files or none.
    """
    folder = network_folder(path)
    if folder is None:
        return path
    name = read_config(folder).get('_class_name')
    if name not in KNOWN:
        raise UserError(
            f'{folder}: holds {name}, which no network here takes: name a folder of DiT or of a '
            'UNet2DModel'
        )
    files = [folder / file for file in WEIGHTS if (folder / file).is_file()]
    if not files:
        raise UserError(
            f'{folder}: has neither {" nor ".join(WEIGHTS)}: download it again, whole, or save it '
            'in one file (max_shard_size)'
        )
    return files[0]


def network_folder(path: Path) -> Path | None:
    """The folder of the denoising network in a pipeline's folder, or itself; None if neither."""
    if (path / PIPELINE).is_file():
        for name in DENOISERS:
            if (path / name / CONFIG).is_file():
                return path / name
    return path if (path / CONFIG).is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's ``config.json``."""
    return json.loads((folder / CONFIG).read_text())


def with_positions(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """A network's tensors, with DiT's fixed positions, which only its config tells.

    Raises:
        UserError: The config is of another transformer than DiT.
    """
    config = read_config(folder)
    if config.get('_class_name') not in DIT:
        return tensors
    differing = [f'{k}={config[k]!r}' for k, v in DIT_SETTINGS.items() if config.get(k, v) != v]
    if differing:
        raise UserError(f'{folder / CONFIG}: {", ".join(differing)}: the network is no DiT')
    grid = config['sample_size'] // config['patch_size']
    channels = config['num_attention_heads'] * config['attention_head_dim']
    return {'pos_embed.pos_embed': fixed_positions(grid, channels)[:, 1:], **tensors}
