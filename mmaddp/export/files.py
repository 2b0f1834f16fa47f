"""Exported networks as files, and files as functions."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmaddp.utils import UserError, require

from .networks import ExportedNetwork

# The formats by the ending of the file.
SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2'}
OPSET = 18
_INFO = 'mmaddp.json'

Run = Callable[..., 'list[Tensor]']


def write_network(network: ExportedNetwork, path: Path, format: str, info: dict[str, Any]) -> None:
    """Write a network with its weights as one file.

    Args:
        network: The network.
        path: The file; beyond 2 GB, ONNX keeps the weights in a second one.
        format: 'onnx' or 'torch', a file of ``torch.export``.
        info: What else the file says, for :func:`read_info`.

    Raises:
        UserError: ONNX's packages are not installed.
    """
    if format == 'onnx':
        require('a file for ONNX', 'onnx', 'onnxscript')
    with torch.no_grad():
        program = torch.export.export(network, network.examples(), strict=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under its own name from the beginning, since ONNX names the file of weights after it.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        target = Path(folder) / path.name
        if format == 'torch':
            torch.export.save(program, target, extra_files={_INFO: json.dumps(info)})
        else:
            converted = torch.onnx.export(
                program,
                input_names=list(network.inputs),
                output_names=list(network.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            converted.model.metadata_props[_INFO] = json.dumps(info)
            converted.save(target)
        for written in Path(folder).iterdir():
            os.replace(written, path.parent / written.name)


def read_network(path: str | Path, device: str = 'cpu') -> tuple[Run, dict[str, Any]]:
    """Read a file of :func:`write_network`.

    Args:
        path: The file.
        device: 'cpu' or a CUDA device.

    Returns:
        The function from tensors to tensors, and the file's information.

    Raises:
        UserError: onnxruntime is not installed, or the file is not of :func:`write_network`.
    """
    path = Path(path)
    if path.suffix == SUFFIXES['torch']:
        extra = {_INFO: ''}
        module = torch.export.load(path, extra_files=extra).module().to(device)

        def run(*inputs: Tensor) -> list[Tensor]:
            with torch.no_grad():
                results = module(*(x.to(device) for x in inputs))
            return list(results) if isinstance(results, tuple) else [results]

        return run, _parsed(path, extra[_INFO])
    require('running a file for ONNX', 'onnxruntime')
    import onnxruntime

    on_cpu = str(device) == 'cpu'
    providers = ['CPUExecutionProvider'] if on_cpu else onnxruntime.get_available_providers()
    session = onnxruntime.InferenceSession(path, providers=providers)
    names = [value.name for value in session.get_inputs()]

    def run_onnx(*inputs: Tensor) -> list[Tensor]:
        arrays = {name: x.cpu().numpy() for name, x in zip(names, inputs)}
        return [torch.from_numpy(result) for result in session.run(None, arrays)]

    return run_onnx, _parsed(path, session.get_modelmeta().custom_metadata_map.get(_INFO, ''))


def _parsed(path: Path, text: str) -> dict[str, Any]:
    if not text:
        raise UserError(f'{path}: not written by tools/export.py')
    return json.loads(text)
