"""Folders that transformers, timm and diffusers save or download, read as data.

Nothing of a folder is executed, and transformers and diffusers need not be installed.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from mmaddp.utils import UserError, refuse_if

from .rules import Tensors, shortened
from .sources.addp import fixed_positions

CONFIG, INDEX = 'config.json', '.index.json'
# A pipeline of diffusers has its networks in folders of their own.
PIPELINE, DENOISERS = 'model_index.json', ('transformer', 'unet')
# The key of the config that names the network, by library.
KIND = dict(diffusers='_class_name', transformers='model_type', timm='architecture')
WEIGHTS = dict(
    diffusers=('diffusion_pytorch_model.safetensors', 'diffusion_pytorch_model.bin'),
    transformers=('model.safetensors', 'pytorch_model.bin'),
    timm=('model.safetensors', 'pytorch_model.bin'),
)
OTHER_FRAMEWORKS = ('tf_model.h5', 'flax_model.msgpack')
DIT, SIT = ('DiTTransformer2DModel', 'Transformer2DModel'), 'SiTTransformer2DModel'
# The networks that we have. Others may have the same names and compute something else.
KNOWN = dict(
    diffusers=(*DIT, SIT, 'UNet2DModel'),
    transformers=('vit', 'vit_mae', 'deit', 'dinov2', 'dinov2_with_registers'),
)
# What DDAEDiT has, and a config of theirs may leave out.
DIT_SETTINGS = dict(
    activation_fn='gelu-approximate', norm_type='ada_norm_zero', norm_elementwise_affine=False
)
# SiT's folders keep the names of DiT's authors.
SIT_SETTINGS = dict(norm_type='ln', mlp_ratio=4.0)
# What our plain ViTs compute and no tensor tells. transformers writes an eps of 1e-12 for networks
# that were trained with 1e-6, which makes no difference.
EPS, EXACT_GELU = 1e-6, ('gelu', 'gelu_python')


@dataclass(frozen=True)
class ModelFolder:
    """A network in a folder.

    Attributes:
        path: The folder.
        library: 'diffusers', 'transformers' or 'timm'.
        config: Its ``config.json``.
    """

    path: Path
    library: str
    config: dict[str, Any]

    @property
    def kind(self) -> str:
        """What the config calls the network."""
        return self.config[KIND[self.library]]

    @property
    def files(self) -> list[Path]:
        """The files with the weights: one, or all shards.

        Raises:
            UserError: There are none, or a shard is missing.
        """
        names = WEIGHTS[self.library]
        for name in names:
            if (self.path / name).is_file():
                return [self.path / name]
            if (self.path / f'{name}{INDEX}').is_file():
                return self.shards(f'{name}{INDEX}')
        others = [name for name in OTHER_FRAMEWORKS if (self.path / name).is_file()]
        found = f' (only {others[0]}, of another framework)' if others else ''
        raise UserError(f'has neither {" nor ".join(names)}{found}: download it again, whole')

    def shards(self, index: str) -> list[Path]:
        """The files that an index lists.

        Raises:
            UserError: One is missing, or is not in this folder.
        """
        # The index maps each tensor to its file.
        names = sorted(set(read_json(self.path / index)['weight_map'].values()))
        missing = [n for n in names if Path(n).name != n or not (self.path / n).is_file()]
        if missing:
            raise UserError(f'lacks {shortened(missing)} of {index}: download it again, whole')
        return [self.path / name for name in names]

    def settings(self) -> dict[str, Any]:
        """Settings of a network that its weights do not tell, as our classes name them.

        Raises:
            UserError: We have no such network, or ours computes something else.
        """
        if self.kind not in KNOWN.get(self.library, (self.kind,)):
            known = ', '.join(KNOWN[self.library])
            raise UserError(
                f'holds {self.kind}, which no network here takes (they take {known}): '
                'mmaddp.Encoder may take it'
            )
        facts = dict(diffusers=dit_facts, transformers=vit_facts, timm=timm_facts)[self.library]
        differing, settings = facts(self.config)
        if differing:
            raise UserError(
                f'{self.kind} has {", ".join(differing)}, other than our network: mmaddp.Encoder '
                'may take it'
            )
        return settings

    def completed(self, tensors: Tensors) -> Tensors:
        """The tensors of the files, with the fixed positions of a DiT, which files leave out."""
        if self.kind not in DIT:
            return tensors
        # Patches per side of the latents.
        grid = self.config['sample_size'] // self.config['patch_size']
        channels = self.config['num_attention_heads'] * self.config['attention_head_dim']
        return {'pos_embed.pos_embed': fixed_positions(grid, channels)[:, 1:], **tensors}


Facts = tuple[list[str], dict[str, Any]]


def dit_facts(config: dict[str, Any]) -> Facts:
    """What a network of diffusers has otherwise than ours."""
    kind = config['_class_name']
    wanted = DIT_SETTINGS if kind in DIT else SIT_SETTINGS if kind == SIT else {}
    return [f'{k}={config[k]!r}' for k, v in wanted.items() if config.get(k, v) != v], {}


def vit_facts(config: dict[str, Any]) -> Facts:
    """What a ViT of transformers has otherwise than ours, and its attention heads."""
    differing = []
    if config.get('hidden_act', 'gelu') not in EXACT_GELU:
        differing.append(f'hidden_act={config["hidden_act"]!r}')
    if config.get('layer_norm_eps', EPS) > 1.01 * EPS:
        differing.append(f'layer_norm_eps={config["layer_norm_eps"]}')
    heads = config.get('num_attention_heads')  # old configs leave defaults out
    return differing, {'num_heads': heads} if heads else {}


def timm_facts(config: dict[str, Any]) -> Facts:
    """What a network of timm has otherwise than ours, and its attention heads.

    Its config names an architecture, whose settings only the library knows.
    """
    if not timm.is_model(config['architecture']):
        return [], {}
    # Other arguments than numbers name classes.
    args = (config.get('model_args') or {}).items()
    numbers = {key: value for key, value in args if isinstance(value, (int, float))}
    with torch.device('meta'):
        network = timm.create_model(config['architecture'], pretrained=False, **numbers)
    if not isinstance(network, timm.models.VisionTransformer):
        return [f'the network {type(network).__name__}'], {}
    block, differing = network.blocks[0], []
    if getattr(block.mlp.act, 'approximate', '') != 'none':
        differing.append(f'the activation {block.mlp.act}')
    if not math.isclose(block.norm1.eps, EPS):
        differing.append(f'eps={block.norm1.eps}')
    return differing, {'num_heads': block.attn.num_heads}


def open_folder(path: Path) -> ModelFolder | None:
    """The network in a folder; None for files, and for folders of no known library.

    A pipeline of diffusers stands for its denoising network, a folder of the hub's cache
    (``models--…``) for the version that was downloaded last.

    Raises:
        UserError: The folder holds shards that a training wrote.
    """
    reference = path / 'refs' / 'main'
    if reference.is_file():
        path = path / 'snapshots' / reference.read_text().strip()
    refuse_if(
        (
            (path / '.metadata').is_file(),
            'holds shards of torch.distributed.checkpoint: join them by python -m '
            'torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE',
        ),
        (
            (path / 'zero_to_fp32.py').is_file(),
            "holds DeepSpeed's shards: join them by zero_to_fp32.py in the folder",
        ),
    )
    network = network_folder(path)
    config = read_config(network) if network else {}
    libraries = [library for library, key in KIND.items() if key in config]
    return ModelFolder(network, libraries[0], config) if libraries else None


def network_folder(path: Path) -> Path | None:
    """The folder of the denoising network in a pipeline's folder, or itself; None if neither."""
    if (path / PIPELINE).is_file():
        for name in DENOISERS:
            if (path / name / CONFIG).is_file():
                return path / name
    return path if (path / CONFIG).is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    """A folder's ``config.json``."""
    return read_json(folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file.

    Raises:
        UserError: It is damaged.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{path.name} is damaged ({error}): download it again') from None
