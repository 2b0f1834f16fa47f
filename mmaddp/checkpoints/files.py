"""Conversion from file to file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from prettytable import PrettyTable
from safetensors.torch import save_file
from torch import Tensor

from mmaddp.utils import UserError, atomic_write, refuse_if
from mmaddp.version import __version__
from mmaddp.zoo import located

from .convert import MODEL, convert, own_meta, read_part, weights_of
from .folders import open_folder
from .reader import naming, read_checkpoint
from .rules import RULES_VERSION, Part
from .sources import SOURCES

EXTENSIONS = ('.pth', '.pt', '.safetensors')
OFFICIAL_EXTENSIONS = ('.pth', '.pt')
# Files are hashed in pieces, since they may be larger than memory.
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Args:
        destination: The file written.
        meta: What stands in it under ``meta['mmaddp']``: source_file, source_sha256, source,
            target, license, rules_version, mmaddp_version, the hashes of frozen parts from
            elsewhere, and what the source says of its model.
        parts: What became of every tensor of the source.
        notes: Lines that the user should read.
    """

    destination: Path
    meta: dict
    parts: list[Part]
    notes: list[str]


def convert_file(
    src: str | Path,
    dst: str | Path,
    source: str = 'auto',
    target: str = 'backbone',
    force: bool = False,
    frozen_parts: Mapping[str, str | Path] | None = None,
    prefix: str | None = None,
    half: bool = False,
) -> ConversionReport:
    """Convert a checkpoint file; the new file appears whole or not at all.

    Args:
        src: The published file, or a folder of diffusers, transformers or timm.
        dst: The file to write, .pth or .pt (``{'meta', 'state_dict'}`` as OpenMMLab has it, for
            'official' ``{'meta', 'model'}`` as the authors have it) or .safetensors (metadata in
            the header; not for 'official').
        source: A layout, or 'auto'; see :func:`mmaddp.checkpoints.convert_checkpoint`.
        target: One of :data:`mmaddp.checkpoints.TARGETS`.
        force: Overwrite ``dst``.
        frozen_parts: Files for 'tokenizer' and 'token_predictor', which checkpoints of training
            runs do not hold: any that convert to that part.
        prefix: See :func:`mmaddp.checkpoints.convert_checkpoint`.
        half: Write floating-point tensors in float16.

    Raises:
        UserError: A file cannot be read or converted, ``src`` has a part that ``frozen_parts``
            names too, or ``dst`` exists or has another extension.
    """
    src, dst = Path(src), Path(dst)
    extensions = OFFICIAL_EXTENSIONS if target == 'official' else EXTENSIONS
    endings = ', '.join(extensions)
    exists = dst.exists() and not force
    refuse_if(
        (dst.suffix not in extensions, f'{dst}: the file to write must end in {endings}'),
        (exists, f'{dst}: exists; name another file or add --force to overwrite it'),
    )
    checkpoint = read_checkpoint(src)
    told = own_meta(checkpoint)
    with naming(src):
        checkpoint = with_parts(checkpoint, frozen_parts or {})
        conversion = convert(checkpoint, source, target, prefix=prefix)
    # What later conversions and bug reports need: which file, by which rules.
    meta = {
        **({MODEL: told[MODEL]} if MODEL in told else {}),
        'source_file': src.name,
        'source_sha256': sha256(*weights_files(src)),
        'source': conversion.source,
        'target': target,
        # A file that was converted before still has its authors' terms.
        'license': told.get('license') or SOURCES[conversion.source].license,
        'rules_version': RULES_VERSION,
        'mmaddp_version': __version__,
        **{f'{part}_sha256': sha256(Path(path)) for part, path in (frozen_parts or {}).items()},
    }
    state_dict = halved(conversion.state_dict) if half else conversion.state_dict
    write_checkpoint(dst, state_dict, meta)
    return ConversionReport(dst, meta, conversion.parts, conversion.notes)


def with_parts(checkpoint: Mapping, parts: Mapping[str, str | Path]) -> Mapping:
    """A training checkpoint together with parts from other files."""
    if not parts:
        return checkpoint
    tensors = weights_of(checkpoint).tensors
    # Two sources for a part would leave it to chance which one is taken.
    for part, path in parts.items():
        if any(name.startswith(f'{part}.') for name in tensors):
            raise UserError(f'it holds a {part} of its own: leave --{part.replace("_", "-")} out')
        tensors.update({f'{part}.{name}': t for name, t in read_part(path, part).items()})
    return tensors


def halved(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with floating-point ones in float16.

    Raises:
        UserError: A value is beyond float16's range.
    """
    halves = {name: t.half() if t.is_floating_point() else t for name, t in state_dict.items()}
    for name, tensor in halves.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise UserError(f'{name} exceeds the range of float16: leave --half out')
    return halves


def weights_files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder."""
    folder = open_folder(path)
    return folder.files if folder else [path]


def sha256(*paths: Path) -> str:
    """The hash of files, or models of the zoo, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with open(located(path), 'rb') as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def write_checkpoint(path: Path, state_dict: Mapping[str, Tensor], meta: dict) -> None:
    """Write tensors and our metadata atomically; equal contents give equal bytes."""
    state_dict = {name: own_storage(tensor) for name, tensor in state_dict.items()}
    with atomic_write(path) as temporary:
        if path.suffix == '.safetensors':
            # One entry only: safetensors writes several in an order that changes.
            save_file(state_dict, temporary, metadata={'mmaddp': json.dumps(meta)})
        else:
            # A file object, since torch.save puts a path's own name into the archive.
            with open(temporary, 'wb') as file:
                nest = 'model' if meta['target'] == 'official' else 'state_dict'
                torch.save({'meta': {'mmaddp': meta}, nest: state_dict}, file)


def own_storage(tensor: Tensor) -> Tensor:
    """A tensor that shares its memory with no other, so that a file holds it and no more."""
    return tensor.contiguous().clone()


def summary_table(report: ConversionReport) -> str:
    """A conversion as a table: part, tensors, parameters, and what became of them."""
    table = PrettyTable(['part', 'tensors', 'parameters', 'what became of it'], align='l')
    for part in report.parts:
        table.add_row([part.name, part.tensors, f'{part.parameters:,}', part.fate])
    return table.get_string()
