"""The loss of a config on a GPU that is not there: finds mixed devices and types.

The tests rehearse toy configs. This rehearses others, at full size, some seconds each:

    python tests/fake_cuda.py 'configs/det/*/mask-rcnn*.py' 'configs/pretrain/addp/*.py'
"""

from __future__ import annotations

import glob
import os
import sys
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

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
from mmaddp.models.pretrainers import addp_decoder


class Answers(TorchDispatchMode):
    """Answers operators that ask for values, with true ones where the tensor is real."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        fakes = [one for one in tensors_of((args, kwargs)) if isinstance(one, FakeTensor)]
        for fake in fakes:
            # torch would copy a constant that it knows to the device that is not there.
            fake.constant = None
        with _disable_current_modes() if not fakes and func in ANSWERS else nullcontext():
            return answer(func, args, kwargs or {})


def rehearse(config: Config, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """The losses of two images, as fake tensors.

    torch refuses operators whose inputs are of several devices, or of types that do not go
    together. A backward pass would need CUDA itself.
    """
    init_default_scope(config.get('default_scope') or 'mmengine')
    with parameters_without_memory():
        model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    batch = synthetic_batch(config, model, 2)
    fakes = Fakes('cuda')
    fakes.convert_parameters(model)
    fakes.convert_buffers(model)
    model.data_preprocessor._device = torch.device('cuda')
    # Where every position is selected, each row has all of them.
    counts = mock.patch.object(addp_decoder, 'equal_count', lambda mask: mask.shape[1])
    autocast = torch.autocast('cuda', dtype)
    with counts, stand_in_operators(), fakes.mode, Answers(), ArraysOfOnes(), autocast:
        data = model.data_preprocessor(batch, True)
        return model.parse_losses(model(**data, mode='loss'))[1]


def main(patterns: list[str]) -> None:
    """Rehearse all configs of some patterns, and say which fail."""
    for name in ('TOKENIZER', 'TOKEN_PREDICTOR', 'TOKEN_DIR'):
        os.environ.setdefault(name, 'unused')
    failed = 0
    for path in sorted(path for pattern in patterns for path in glob.glob(pattern)):
        try:
            loss = rehearse(load_config(path))['loss']
            print(f'ok    {path} {loss.device.type} {loss.dtype}', flush=True)
        except Exception as error:
            failed += 1
            print(f'FAIL  {path}: {type(error).__name__}: {str(error)[:300]}', flush=True)
    sys.exit(f'{failed} failed' if failed else 0)


if __name__ == '__main__':
    main(sys.argv[1:])
