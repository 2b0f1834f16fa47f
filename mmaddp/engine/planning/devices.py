"""GPUs that a step is planned for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import torch

from mmaddp.utils import UserError

GIB = 2**30


class Device(NamedTuple):
    """A GPU.

    Attributes:
        name: As it is called.
        memory: GiB that PyTorch reports.
        half: TFLOP/s of matrix products of bfloat16 or float16, without sparsity.
        tf32: TFLOP/s of TF32, in which PyTorch runs convolutions of float32.
        float32: TFLOP/s of float32, in which PyTorch runs its other products.
        bandwidth: GB/s of its memory.
        source: Where the figures are from.
    """

    name: str
    memory: float
    half: float | None = None
    tf32: float | None = None
    float32: float | None = None
    bandwidth: float | None = None
    source: str = ''

    def seconds(self, flops: int, moved: int, dtype: torch.dtype, convolves: bool) -> float:
        """The least time of one operator: that of its arithmetic or that of its memory."""
        is_half = dtype in (torch.bfloat16, torch.float16)
        peak = self.half if is_half else self.tf32 if convolves else self.float32
        return max(flops / (peak * 1e12), moved / (self.bandwidth * 1e9))


# Peaks are those of the vendor's data sheets. Measured speeds stay below them.
_SHEET = 'NVIDIA data sheet'
DEVICES = {
    device.name: device
    for device in (
        Device('V100-32GB', 31.7, 125, 15.7, 15.7, 900, f'{_SHEET} of V100, SXM2'),
        Device('RTX-3090', 23.7, 71, 35.6, 35.6, 936, 'NVIDIA white paper of GA102, table 9'),
        Device('RTX-4090', 23.6, 165, 82.6, 82.6, 1008, 'NVIDIA white paper of Ada, table 2'),
        Device('A10', 22.0, 125, 62.5, 31.2, 600, f'{_SHEET} of A10'),
        Device('L40S', 44.5, 362, 183, 91.6, 864, f'{_SHEET} of L40S'),
        Device('A100-40GB', 39.4, 312, 156, 19.5, 1555, f'{_SHEET} of A100, SXM'),
        Device('A100-80GB', 79.2, 312, 156, 19.5, 2039, f'{_SHEET} of A100, SXM'),
        Device('H100', 79.1, 989, 494, 67, 3350, f'{_SHEET} of H100, SXM'),
        Device('H200', 139.8, 989, 494, 67, 4800, f'{_SHEET} of H200, SXM'),
    )
}


def find_device(name: str) -> Device:
    """A GPU by its name, its memory, or a JSON file with the fields of :class:`Device`.

    Args:
        name: A name of ``DEVICES``; '24GB', of which the bound on speed is unknown; or a file.

    Raises:
        UserError: The GPU is unknown, the file is missing, or a field of it is wrong.
    """
    if name in DEVICES:
        return DEVICES[name]
    if re.fullmatch(r'\d+(\.\d+)?GB', name):
        # Drivers keep about one percent of what is printed on the box.
        return Device(name, 0.985 * float(name[:-2]))
    if not Path(name).is_file():
        raise UserError(f'--gpu {name}: give {", ".join(DEVICES)}, a size such as 24GB, or a file')
    try:
        return Device(**json.loads(Path(name).read_text()))
    except (ValueError, TypeError) as error:
        fields = ', '.join(Device._fields)
        raise UserError(f'{name}: give the fields {fields} as JSON: {error}') from error


def this_device() -> Device:
    """The present GPU, with the speed of the table's if it is one of them."""
    name, total = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    words = name.replace(' ', '-')
    known = [device for device in DEVICES.values() if device.name.partition('-')[0] in words]
    close = [device for device in known if abs(device.memory - total / GIB) < 0.1 * device.memory]
    return close[0]._replace(memory=total / GIB) if close else Device(name, total / GIB)
