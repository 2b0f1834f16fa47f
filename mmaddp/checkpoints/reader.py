"""Checkpoint files of all formats, told by their content and never executed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.utils import digit_version
from safetensors import safe_open

from mmaddp.utils import UserError, reason_of
from mmaddp.zoo import located

from . import unpickler
from .folders import open_folder
from .unpickler import TORCH_LEGACY

# Enough to recognize every format.
HEAD_BYTES = 512
# The signature of a zip archive, PyTorch's format since 1.6.
ZIP = b'PK\x03\x04'

# Files that are no checkpoints: what to tell the user, and a test of the first bytes.
NO_CHECKPOINTS: dict[str, Callable[[bytes], bool]] = {
    'is empty; download or copy it again': lambda head: not head,
    'is a Git LFS pointer, not the file itself; run `git lfs pull`': lambda head: head.startswith(
        b'version https://git-lfs'
    ),
    'is a web page; the download failed, fetch the file itself': lambda head: (
        head.lstrip().startswith(b'<')
    ),
}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything from it.

    Takes PyTorch's files, old and new, .safetensors, and pickles such as detectron2's model zoo
    and NVIDIA's networks. The content decides, not the extension. Takes folders of transformers,
    timm and diffusers too; see :mod:`mmaddp.checkpoints.folders`.

    Args:
        path: A local file or folder, or ``zoo://NAME``.

    Returns:
        What the file holds, with tensors on the CPU and NumPy arrays as they are. For folders and
        .safetensors ``{'state_dict': tensors}``, and 'meta' if there is something to tell.

    Raises:
        UserError: The file is missing, damaged or no checkpoint, or asks for more than tensors and
            plain values.
    """
    path = located(path)
    with naming(path):
        folder = open_folder(path) if path.is_dir() else None
        settings = folder.settings() if folder else {}
        files = folder.files if folder else [path]
    if folder is None:
        return _read(path, choose_reader)
    tensors = folder.completed(read_tensors(files))
    return {'state_dict': tensors, 'meta': {'mmaddp': {'model': settings}}}


def read_tensors(files: Sequence[Path]) -> dict[str, Any]:
    """The tensors of the files of a folder, under their own names."""
    tensors = {}
    # A .bin file is the bare state dict, a .safetensors file is read into a nest.
    for file in files:
        checkpoint = _read(file, choose_reader)
        tensors.update(checkpoint.get('state_dict', checkpoint))
    return tensors


def map_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint as data, as above, its tensors left on the disk until they are used.

    Args:
        path: A local file of PyTorch's format since 1.6.

    Returns:
        What the file holds; log histories and the like are empty objects.

    Raises:
        UserError: As :func:`read_checkpoint`.
    """
    return _read(located(path), lambda path, head: map_torch_zip)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Have every :class:`UserError` inside name the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f'{path}: {error}') from None


def _read(path: Path, choose: Callable[[Path, bytes], Callable[[Path], Any]]) -> dict[str, Any]:
    with naming(path):
        reader = choose(path, read_head(path))
        try:
            return dict(reader(path))
        except UserError:
            raise
        except Exception as error:  # what a damaged file raises has no common type
            raise UserError(
                f'truncated, damaged or no checkpoint ({reason_of(error)}); download or copy it '
                'again'
            ) from None


def read_head(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        UserError: It cannot be read, or is what a failed download leaves behind.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise UserError(f'{error.strerror}; give the path of a checkpoint file') from None
    found = [what for what, is_it in NO_CHECKPOINTS.items() if is_it(head)]
    if found:
        raise UserError(found[0])
    return head


def choose_reader(path: Path, head: bytes) -> Callable[[Path], Any]:
    """The function that reads files with this beginning."""
    if head.startswith(ZIP):
        return read_torch_zip
    if head.startswith(TORCH_LEGACY):
        return read_torch
    # The header of .safetensors is JSON behind its length in 8 bytes. A pickle could look the same.
    is_safetensors = head[8:9] == b'{' and not head.startswith(b'\x80\x02')
    return read_safetensors if is_safetensors else read_pickle


def read_torch_zip(path: Path) -> Any:
    """PyTorch's format since 1.6, unless it is a program (TorchScript).

    Before 2.10 PyTorch believed what a file says of the size of its tensors, and read beyond them
    (CVE-2026-24747). Mapped from the disk, a tensor cannot reach past the file.
    """
    if digit_version(torch.__version__) < digit_version('2.10'):
        return map_torch_zip(path)
    refuse_program(path)
    return read_torch(path)


def map_torch_zip(path: Path) -> Any:
    """PyTorch's format since 1.6, its tensors mapped from the disk."""
    refuse_program(path)
    # torch 2.1 maps files by their name alone.
    return torch.load(
        str(path), map_location='cpu', mmap=True, pickle_module=unpickler, weights_only=False
    )


def refuse_program(path: Path) -> None:
    """Refuse TorchScript, which shares the format and runs when it is loaded."""
    with open(path, 'rb') as file:
        records = torch._C.PyTorchFileReader(file).get_all_records()
    # Only TorchScript has constants.
    if 'constants.pkl' in records:
        raise UserError('refused: it is a TorchScript program; have its state dict saved instead')


def read_torch(path: Path) -> Any:
    """PyTorch's format: weights only, and then what else published files hold.

    Training arguments and log histories stand in many files, and PyTorch cannot be taught all of
    them. So what it refuses is read by our own unpickler, which puts empty objects in their place
    and refuses the rest by name. PyTorch's own guard could be got round before 2.6
    (CVE-2025-32434) and 2.10 (CVE-2026-24747): there ours comes first.
    """
    if digit_version(torch.__version__) >= digit_version('2.10'):
        try:
            return torch.load(path, map_location='cpu', weights_only=True)
        except pickle.UnpicklingError:
            pass
    return torch.load(path, map_location='cpu', pickle_module=unpickler, weights_only=False)


def read_pickle(path: Path) -> Any:
    """A plain pickle; Latin-1 is how NumPy arrays of Python 2 are read."""
    with open(path, 'rb') as file:
        return unpickler.load(file, encoding='latin1')


def read_safetensors(path: Path) -> dict[str, Any]:
    """A .safetensors file with our metadata, if any."""
    with safe_open(path, framework='pt', device='cpu') as file:
        state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        own = (file.metadata() or {}).get('mmaddp')
    checkpoint: dict[str, Any] = {'state_dict': state_dict}
    if own:
        checkpoint['meta'] = {'mmaddp': json.loads(own)}
    return checkpoint
