"""The loss of a config on a GPU that is not there: finds mixed devices and types.

The tests rehearse the full configs. This rehearses all, toys too, or those of some patterns, about
a second each:

    python tests/fake_cuda.py
    python tests/fake_cuda.py 'configs/det/*/mask-rcnn*.py' 'configs/pretrain/addp/*.py'
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import torch
import torchvision  # noqa: F401  # its operators
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from mmaddp.engine.planning.answers import (
    ANSWERS,
    ArraysOfOnes,
    Fakes,
    answer,
    parameters_without_memory,
    stand_in_operators,
    tensors_of,
)
from mmaddp.engine.runs import load_config
from mmaddp.engine.synthetic_batches import synthetic_batch
from mmaddp.models import VQGANTrainer
from mmaddp.models.pretrainers import addp_decoder
from mmaddp.models.probing import depth
from mmaddp.models.tokenizers import kl_autoencoder

aten = torch.ops.aten
ALL = 'configs/[!_]*/*/*.py'
IMAGES = 2
# Integers of a tensor of sizes, at most.
MAX_SIZES = 64
# Files that a rehearsal does not read, and a network of any library where a config wants one.
VARIABLES = dict(TOKENIZER='unused', TOKEN_PREDICTOR='unused', ENCODER='timm:vit_small_patch16_224')
# Stable Diffusion's autoencoder, by its config.json.
AUTOENCODER = dict(
    down_block_types=['DownEncoderBlock2D'] * 4,
    up_block_types=['UpDecoderBlock2D'] * 4,
    block_out_channels=[128, 256, 512, 512],
    layers_per_block=2,
    latent_channels=4,
)

# Operators whose kernels take floating-point tensors of one type; their fakes do not check it.
SAME_DTYPE = {
    aten.mm,
    aten.addmm,
    aten.bmm,
    aten.baddbmm,
    aten.convolution,
    aten.grid_sampler_2d,
    aten.index_put,
    aten.index_put_,
    aten.lerp,
    aten.scatter,
    aten.scatter_,
    aten.scatter_add,
    aten.scatter_add_,
    aten._scaled_dot_product_efficient_attention,
    aten._scaled_dot_product_flash_attention,
    torch.ops.torchvision.roi_align,
}


class Answers(TorchDispatchMode):
    """Answers operators that ask for values, and refuses mixed types.

    What real tensors alone give stays real. Values of sizes, which are few integers, stay known on
    the device too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values = WeakTensorKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors, kwargs = tensors_of((args, kwargs)), kwargs or {}
        fakes = [one for one in tensors if isinstance(one, FakeTensor)]
        for fake in fakes:
            # torch would copy a constant that it knows to the device that is not there.
            fake.constant = None
        types = {one.dtype for one in tensors if one.is_floating_point()}
        if func.overloadpacket in SAME_DTYPE and len(types) > 1:
            raise RuntimeError(f'{func}: inputs have several dtypes: {types}')
        on_device = torch.device(kwargs.get('device') or 'cpu').type != 'cpu'
        if tensors and not fakes and not on_device:
            with _disable_current_modes():
                return func(*args, **kwargs)
        value = None
        if not func._schema.is_mutable and all(map(self.is_known, tensors)) and tensors:
            value = self.compute(func, args, kwargs)
            if func is aten._local_scalar_dense.default:
                return value
        result = answer(func, args, kwargs)
        if value is not None:
            for fake, known in zip(tensors_of(result), tensors_of(value)):
                self.values[fake] = known
        return result

    def is_known(self, tensor: Tensor) -> bool:
        """Whether a tensor has few integers, whose values are known."""
        is_small = tensor.numel() <= MAX_SIZES and not tensor.is_floating_point()
        return is_small and (not isinstance(tensor, FakeTensor) or tensor in self.values)

    def compute(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """The result of an operator on the CPU, from known values."""
        kwargs = {**kwargs, 'device': 'cpu'} if 'device' in kwargs else kwargs
        with _disable_current_modes():
            args, kwargs = tree_map(self.known, (args, kwargs))
            return func(*args, **kwargs)

    def known(self, x: Any) -> Any:
        """Replace a fake tensor by its known value. Other arguments pass unchanged."""
        return self.values[x] if isinstance(x, FakeTensor) else x


class FakeGPU(Fakes):
    """Puts modules on the device that is not there."""

    def __init__(self) -> None:
        super().__init__('cuda')

    def build(self, make: Any, *args: Any, **kwargs: Any) -> nn.Module:
        """A module whose parameters and buffers are fake ones of the device."""
        with parameters_without_memory():
            module = make(*args, **kwargs)
        self.convert_parameters(module)
        self.convert_buffers(module)
        return module

    def autoencoder(self, folder: Path, kind: str) -> nn.Module:
        """What reads a folder of diffusers, which is not there either."""
        import diffusers

        with _disable_current_modes():
            network = self.build(getattr(diffusers, kind), **AUTOENCODER).eval()
        # Fake parameters cannot be moved, and are on the device.
        network.to = lambda device: network
        return network


def for_all_queries(get_targets: Callable) -> Callable:
    """Mask2Former's targets of an image: where every query is selected, each has a mask."""

    def targets(head: nn.Module, *args: Any) -> tuple:
        labels, weights, masks, *others = get_targets(head, *args)
        return labels, weights, masks[:1].expand(head.num_queries, -1, -1), *others

    return targets


@contextmanager
def stand_ins(gpu: FakeGPU) -> Iterator[None]:
    """Answer what is not known of fake tensors, and read no files."""
    from mmdet.models import Mask2FormerHead  # after mmaddp, which leaves multimodal models out

    unique = ANSWERS[aten._unique2.default]
    get_targets = Mask2FormerHead._get_targets_single
    with ExitStack() as stack:
        for owner, name, other in (
            # Without a GPU, torch would not autocast.
            (torch.cuda.amp.common, 'amp_definitely_not_available', lambda: False),
            (torch.cuda, 'is_bf16_supported', lambda: True),
            # Where every position is selected, each row has all of them.
            (addp_decoder, 'equal_count', lambda mask: mask.shape[1]),
            (kl_autoencoder, 'read_autoencoder', gpu.autoencoder),
            (Mask2FormerHead, '_get_targets_single', for_all_queries(get_targets)),
            # It reads memory that fake tensors do not have.
            (torch, '_shape_as_tensor', lambda x: torch.tensor(x.shape, device='cpu')),
            # Heads of probes compute their gradients at once.
            (depth, 'loss_at_once', lambda output, loss: loss(output.float())),
        ):
            stack.enter_context(mock.patch.object(owner, name, other))
        # A batch has no more different numbers of images than images.
        few = {aten._unique2.default: lambda x, *a, **k: unique(x.flatten()[:IMAGES])}
        stack.enter_context(mock.patch.dict(ANSWERS, few))
        stack.enter_context(stand_in_operators())
        yield


def rehearse(config: Config, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """The losses of two images, as fake tensors.

    Operators whose inputs are of several devices, or of types that do not go together, fail. A
    backward pass would need CUDA itself. So would the graph for it: recording it asks
    CUDA for its streams, which sometimes crashes the process.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    gpu = FakeGPU()
    model = gpu.build(lambda: revert_sync_batchnorm(MODELS.build(config.model)).train())
    # Probes would read their encoder's file.
    model._is_init = True
    batch = synthetic_batch(config, model, IMAGES)
    model.data_preprocessor._device = torch.device('cuda')
    modes = gpu.mode, Answers(), ArraysOfOnes()
    with torch.no_grad(), stand_ins(gpu), ExitStack() as stack:
        for mode in (*modes, torch.autocast('cuda', dtype)):
            stack.enter_context(mode)
        return model.parse_losses(losses_of(model, model.data_preprocessor(batch, True)))[1]


def losses_of(model: nn.Module, data: dict) -> dict[str, Tensor]:
    """The losses of a batch on the device."""
    if isinstance(model, VQGANTrainer):
        # Its step updates the tokenizer before it computes the discriminator's loss.
        images, output = data['inputs'], model.tokenizer(data['inputs'])
        losses = model.tokenizer_losses(images, output)
        if model.discriminator is not None:
            losses['loss_discriminator'] = model.discriminator_loss(images, output.images)
        return losses
    if not getattr(getattr(model, 'task', None), 'trained', True):
        # Nearest neighbors learn nothing: their features are rehearsed.
        return {f'loss_{cell}': x.float().mean() for cell, x in model(**data).items()}
    return model(**data, mode='loss')


def failures(paths: list[str | Path]) -> dict[str, str]:
    """Rehearse configs and print a line for each; why some fail, by path."""
    MMLogger.get_instance('mmengine').setLevel('ERROR')
    failed = {}
    with mock.patch.dict(os.environ, VARIABLES):
        for path in map(str, paths):
            try:
                loss = rehearse(load_config(path))['loss']
                assert loss.device.type == 'cuda'
                print(f'ok    {path} {loss.dtype}', flush=True)
            except Exception as error:
                failed[path] = f'{type(error).__name__}: {str(error)[:300]}'
                print(f'FAIL  {path}: {failed[path]}', flush=True)
    return failed


def main(patterns: list[str]) -> None:
    """Rehearse all configs of some patterns, and say which fail."""
    paths = sorted(path for pattern in patterns or [ALL] for path in glob.glob(pattern))
    failed = failures(paths)
    print(f'{len(paths) - len(failed)} of {len(paths)} configs passed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main(sys.argv[1:])
