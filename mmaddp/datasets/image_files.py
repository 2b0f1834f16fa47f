"""Image files: which of a folder are images, and what their pixels are.

Training, evaluation, the reference of FID and completions list and read images with this module.
"""

from __future__ import annotations

import io
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.fileio import LocalBackend, get, get_file_backend
from mmengine.logging import print_log
from PIL import Image

from mmaddp.utils import UserError

IMAGE_SUFFIXES = (
    *('.avif', '.bmp', '.dib', '.gif', '.j2k', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm'),
    *('.pgm', '.png', '.pnm', '.ppm', '.tga', '.tif', '.tiff', '.webp'),
)
# What archivers, notebooks and network disks leave behind.
_FOREIGN_FOLDERS = {'__MACOSX', '__pycache__', '@eaDir', '$RECYCLE.BIN', 'lost+found'}
_END_MARKERS = {'.jpg': b'\xff\xd9', '.jpeg': b'\xff\xd9', '.png': b'IEND'}
_TIFF_MARKERS = (b'II*\0', b'MM\0*')
_ORIENTATION = 0x0112
# Pillow raises all of these for files that it cannot decode.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
# Transforms, networks and drawings fail on lines of a few pixels, each with an error of its own.
TINY_SIDE = 8


class CorruptImageError(UserError):
    """An image, or its segmentation map, is missing, empty or cannot be decoded.

    Attributes:
        path: Its file.
    """

    # torch makes the error of a worker anew from its message alone.
    def __init__(self, message: str, path: str | os.PathLike = '') -> None:
        super().__init__(message)
        self.path = str(path)


class Header(NamedTuple):
    """What a file says before its pixels.

    Attributes:
        size: Width and height as stored.
        channels: Number of channels; a palette has one.
        orientation: The EXIF tag; 1 leaves the image as it is, 5 to 8 turn it by a quarter.
    """

    size: tuple[int, int]
    channels: int
    orientation: int

    @property
    def turned(self) -> tuple[int, int]:
        """Width and height after turning."""
        return self.size[::-1] if 5 <= self.orientation <= 8 else self.size


# Listing


def is_image(path: str) -> bool:
    """Whether a file is an image by the end of its name."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def list_files(root: str | os.PathLike) -> list[str]:
    """Files below a folder by their paths from there, in order; hidden ones are passed over.

    Raises:
        OSError: The folder cannot be read.
    """
    backend = get_file_backend(root, enable_singleton=True)
    if isinstance(backend, LocalBackend):
        paths = _walk(os.fspath(root))
    else:
        paths = backend.list_dir_or_file(root, list_dir=False, list_file=True, recursive=True)
    return sorted(path for path in paths if not any(map(_is_foreign, path.split('/'))))


def report_unused(root: str | os.PathLike, others: Sequence[str], used: int, why: str = '') -> None:
    """Say how many files of a folder are not used, by the end of their names.

    Args:
        root: The folder.
        others: The files that are not used.
        used: Number of images that are.
        why: Why images are among ``others``.
    """
    if not others:
        return
    kinds = Counter(
        why
        if is_image(path) and why
        else f'with {os.path.splitext(path)[1].lower() or "no ending"}'
        for path in others
    )
    reasons = ', '.join(f'{count} {kind}' for kind, count in kinds.most_common())
    print_log(
        f'{root}: {used} images; {len(others)} other files are left out: {reasons}',
        'current',
        logging.WARNING,
    )


def _walk(root: str) -> Iterator[str]:
    """Files below a local folder. A link to a folder above itself is not followed."""
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        folders[:] = [name for name in folders if not _leads_up(os.path.join(folder, name))]
        prefix = os.path.relpath(folder, root).replace(os.sep, '/')
        yield from (name if prefix == '.' else f'{prefix}/{name}' for name in files)


def _leads_up(folder: str) -> bool:
    if _is_foreign(os.path.basename(folder)):
        return True
    target = os.path.realpath(folder)
    return os.path.islink(folder) and os.path.realpath(os.path.dirname(folder)).startswith(
        (target + os.sep, target)
    )


def _fail(error: OSError) -> None:
    raise error


def _is_foreign(name: str) -> bool:
    return name.startswith('.') or name in _FOREIGN_FOLDERS


# Reading


def read_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels of a local image file that training sees: (H, W, 3) uint8, RGB.

    A photograph is turned by its EXIF tag, 16 bits are scaled to 8, transparency is dropped, and
    the first frame of several is taken.

    Raises:
        CorruptImageError: The file is missing, truncated, or cannot be decoded.
    """
    try:
        image = decode_image(Path(path).read_bytes())
    except UNREADABLE as error:
        check_image(path, thorough=True)
        raise CorruptImageError(f'{path} cannot be decoded ({error})', path) from error
    check_image(path)
    return np.ascontiguousarray(image[..., ::-1])


def decode_image(content: bytes, flag: str = 'color', backend: str = 'cv2') -> np.ndarray:
    """Decode an image as MMCV does, or with Pillow what OpenCV cannot decode.

    Args:
        content: The file's bytes.
        flag: MMCV's ``color_type``.
        backend: MMCV's ``imdecode_backend``.

    Returns:
        (H, W, 3) uint8, BGR; (H, W) where ``flag`` asks for gray.

    Raises:
        OSError: The file is empty, or of no known type, or has pixels of 32 bits.
    """
    import mmcv  # not needed to list files

    image = None
    # OpenCV would round the floats in [0, 1] of a TIFF to black and white.
    if content and not (content.startswith(_TIFF_MARKERS) and not _has_bytes(content)):
        image = mmcv.imfrombytes(content, flag=flag, backend=backend)
    # Pillow says what is wrong with an empty file.
    if image is None and _has_bytes(content):
        image = mmcv.imfrombytes(content, flag=flag, backend='pillow')
    if image is None:
        raise OSError('pixels of 32 bits')
    return image


def _has_bytes(content: bytes) -> bool:
    """Whether pixels have 8 or 16 bits, whose range is known."""
    with Image.open(io.BytesIO(content)) as image:
        return image.mode not in ('F', 'I')


def read_header(path: str | os.PathLike, backend_args: dict | None = None) -> Header:
    """Size, channels and orientation of an image file, without decoding it.

    Raises:
        OSError: The image is missing or cannot be read.
    """
    try:
        # Pillow reads no more than the header of a local file.
        source = io.BytesIO(get(path, backend_args=backend_args)) if backend_args else path
        with Image.open(source) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            return Header(image.size, len(image.getbands()), orientation)
    # Archives and databases raise KeyError.
    except (KeyError, *UNREADABLE) as error:
        raise OSError(str(error)) from error


def check_image(
    path: str | os.PathLike, thorough: bool = False, remedy: str = 'repair the file or remove it'
) -> None:
    """Refuse an image file that is not whole. Files of storage backends pass.

    Args:
        path: The file.
        thorough: Decode the image even if its end marker is there.
        remedy: What the message says to do.

    Raises:
        CorruptImageError: Names the file and its fault.
    """
    fault = image_fault(path, thorough)
    if fault:
        raise CorruptImageError(f'{path} {fault}: {remedy}', path)


def image_fault(path: str | os.PathLike, thorough: bool = False) -> str | None:
    """What :func:`check_image` says of an image file, or None when it is whole."""
    path = str(path)
    if '://' in path:
        return None
    if not os.path.exists(path):
        return 'does not exist'
    if os.path.getsize(path) == 0:
        return 'is empty'
    # OpenCV silently decodes a truncated JPEG to a half gray image. Its missing end marker tells.
    if not thorough and _has_end_marker(path):
        return None
    try:
        with Image.open(path) as image:
            image.load()
            if thorough and image.mode in ('F', 'I'):
                return f"holds pixels of 32 bits (mode '{image.mode}'), not of 8 or 16"
        with Image.open(path) as image:
            if image.format == 'PNG':
                # Decoding passes over zeros in the place of pixels. Checksums tell.
                image.verify()
    except UNREADABLE as error:
        return f'cannot be decoded ({error})'
    return None


def _has_end_marker(path: str) -> bool:
    marker = _END_MARKERS.get(os.path.splitext(path)[1].lower())
    if marker is None:
        return True
    with open(path, 'rb') as file:
        file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
        return marker in file.read()
