"""Other projects' code, run from a checkout of it, with stand-ins for what it only imports.

None of the projects is a dependency, and nothing of them is in this repository.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Callable
from unittest import mock

import torch
from torch import Tensor, nn

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.models import DDAEUNet
from mmaddp.models.layers import LN2d

VITDET = 'detectron2/modeling/backbone'


def module_of(name: str, **members: Any) -> ModuleType:
    """A module that has nothing but these members, and counts as a package."""
    module = ModuleType(name)
    module.__path__ = []
    vars(module).update(members)
    return module


def load(path: Path, name: str) -> ModuleType:
    """Run a file of a checkout as the module ``name``."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class NormedConv(nn.Conv2d):
    """detectron2's convolution: a norm may follow."""

    def __init__(self, *args: Any, norm: nn.Module | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm = norm or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.norm(super().forward(x))


class Backbone(nn.Module):
    """detectron2's base class, as far as its ViTDet uses it."""

    def output_shape(self) -> dict[str, argparse.Namespace]:
        """Channels and stride of each output."""
        channels, strides = self._out_feature_channels, self._out_feature_strides
        return {
            name: argparse.Namespace(channels=channels[name], stride=strides[name])
            for name in self._out_features
        }


class LastLevelMaxPool(nn.Module):
    """Every other position of the coarsest level is one more level."""

    num_levels, in_feature = 1, 'p5'

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> [(B, C, H / 2, W / 2)]."""
        return [x[..., ::2, ::2]]


def detectron2_vitdet(checkout: Path, arch: dict, img_size: int, blocks: list[int]) -> nn.Module:
    """detectron2's plain ViT with its simple feature pyramid.

    Args:
        checkout: Of facebookresearch/detectron2.
        arch: ``embed_dims``, ``num_layers`` and ``num_heads``.
        img_size: Side in pixels that relative positions are made for.
        blocks: The blocks that attend globally.
    """
    package = 'detectron2.modeling.backbone'
    layers = dict(
        CNNBlockBase=nn.Module, Conv2d=NormedConv, get_norm=lambda name, width: LN2d(width)
    )
    stand_ins = {
        'fvcore': module_of('fvcore'),
        'fvcore.nn': module_of('fvcore.nn'),
        'fvcore.nn.weight_init': module_of('fvcore.nn.weight_init', c2_msra_fill=lambda m: None),
        'detectron2': module_of('detectron2'),
        'detectron2.layers': module_of('detectron2.layers', **layers),
        'detectron2.modeling': module_of('detectron2.modeling'),
        package: module_of(package),
        f'{package}.backbone': module_of(f'{package}.backbone', Backbone=Backbone),
        f'{package}.fpn': module_of(
            f'{package}.fpn', _assert_strides_are_log2_contiguous=lambda strides: None
        ),
    }
    with mock.patch.dict(sys.modules, stand_ins):
        load(checkout / VITDET / 'utils.py', f'{package}.utils')
        vit = load(checkout / VITDET / 'vit.py', f'{package}.vit')
    network = vit.ViT(
        img_size=img_size,
        embed_dim=arch['embed_dims'],
        depth=arch['num_layers'],
        num_heads=arch['num_heads'],
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        window_size=14,
        window_block_indexes=sorted(set(range(arch['num_layers'])) - set(blocks)),
        use_rel_pos=True,
        out_feature='last_feat',
    )
    return vit.SimpleFeaturePyramid(
        network, 'last_feat', 256, (4.0, 2.0, 1.0, 0.5), LastLevelMaxPool(), 'LN', img_size
    )


@contextmanager
def without_weights(checkout: Path) -> Iterator[None]:
    """Let ADDP's code build its parts in its own folder, without the files of their weights."""
    before, load_file = Path.cwd(), torch.load

    def load_or_nothing(path: Any, **kwargs: Any) -> Any:
        return load_file(path, **kwargs) if Path(path).is_file() else {'model': {}}

    stand_in = module_of('pytorch_lightning', LightningModule=nn.Module)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(sys.modules, {'pytorch_lightning': stand_in}))
        stack.enter_context(mock.patch.object(sys, 'path', [str(checkout), *sys.path]))
        stack.enter_context(mock.patch.object(torch, 'load', load_or_nothing))
        stack.callback(os.chdir, before)
        os.chdir(checkout)
        yield


def addp_vit_base(checkout: Path) -> nn.Module:
    """The model of ADDP's authors, ViT-B with MAGE's large token predictor, weights random.

    Args:
        checkout: Of ChangyaoTian/ADDP.

    Raises:
        ImportError: It is none, or omegaconf is not installed, which its code reads configs with.
    """
    checkout = checkout.resolve()
    args = argparse.Namespace(
        drop_out_rate=0.1,
        label_smoothing=0.1,
        token_predictor_name='mage_vit_large_patch16',
        token_predictor_ckpt='none',
        decoder_depth=8,
        mask_ratio_mu=0.55,
        mask_ratio_std=0.25,
        mask_ratio_min=0.5,
        mask_ratio_max=1.0,
    )
    with without_weights(checkout):
        from modeling.encoders import models_addp

        if not torch.cuda.is_available():
            Tensor.cuda = lambda tensor, *args, **kwargs: tensor  # its steps call .cuda() unasked
        return models_addp.addp_vit_base_patch16(
            args=args, vqgan_ckpt_path='none', vqgan_cfg_path='configs/release/vqgan.yaml'
        )


def addp_generation(
    checkout: Path, model: nn.Module, num_images: int, steps: int
) -> Callable[[], None]:
    """Generation by the loop of ADDP's authors with the settings of their script for ViT-B.

    Args:
        checkout: Of ChangyaoTian/ADDP.
        model: From :func:`addp_vit_base`.
        num_images: Images of a batch.
        steps: Of the loop.
    """
    with without_weights(checkout.resolve()):
        import engine_generate
    settings = argparse.Namespace(
        mask_ratio=1.0,
        num_iteration=steps,
        sampling_strategy='default',
        mask_ratio_sample_strategy='cosine',
        choice_temperature=6.0,
        temperature_strategy='dynamic',
        save_dir_suffix='',
    )
    device = next(model.parameters()).device
    distributed = argparse.Namespace(module=model, eval=model.eval)
    batches = [(torch.rand(num_images, 3, 256, 256), None, None)]  # images, labels, paths

    def generation() -> None:
        with mock.patch.object(engine_generate, 'save_imgs'):
            engine_generate.masked_generate_multi_step_addp(distributed, batches, device, settings)

    return generation


class DDAEAuthorsUNet(nn.Module):
    """The UNet of DDAE's authors, with the weights of one of ours or for them.

    Args:
        checkout: Of FutureXiang/ddae.
        ours: The network whose sizes it gets.
        dropout: Probability in residual blocks.
    """

    def __init__(self, checkout: Path, ours: DDAEUNet, dropout: float) -> None:
        super().__init__()
        stages, base = range(len(ours.widths)), ours.conv_in.out_channels
        augment = ours.time_embed.augment
        package = 'ddae_model'
        # Its layers print their sizes.
        with mock.patch.dict(sys.modules, {package: module_of(package)}), redirect_stdout(None):
            load(checkout / 'model/block.py', f'{package}.block')
            self.unet = load(checkout / 'model/unet.py', f'{package}.unet').UNet(
                image_shape=[ours.in_channels],
                n_channels=base,
                ch_mults=[width // base for width in ours.widths],
                is_attn=[stage in ours.attention_stages for stage in stages],
                dropout=dropout,
                n_blocks=ours.num_blocks,
                use_res_for_updown=ours.resblock_updown,
                augment_dim=0 if augment is None else augment.in_features,
            )

    def predict(self, x: Tensor, time: Tensor, augment: Tensor | None = None) -> Tensor:
        """The prediction, as :meth:`DDAEUNet.predict` gives it."""
        return self.unet(x, time, augment)

    def converted(self) -> dict[str, Tensor]:
        """The weights, as our network names them."""
        weights = {f'ema_model.nn_model.{k}': v for k, v in self.unet.state_dict().items()}
        return convert_checkpoint({'EMA': weights}, target='backbone')
