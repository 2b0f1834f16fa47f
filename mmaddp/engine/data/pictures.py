"""Whether a picture's file is whole."""

from __future__ import annotations

import os

from PIL import Image

_LAST_BYTES = {'.jpg': b'\xff\xd9', '.jpeg': b'\xff\xd9', '.png': b'IEND'}


def image_fault(path: str, thorough: bool = False) -> str | None:
    """Say what is wrong with a picture's file, or None when it is whole.

    OpenCV decodes a truncated JPEG to a half gray picture without a word. Here the end marker is
    looked for in the file's last bytes, which costs next to nothing; only where it is absent, or
    when ``thorough``, is the file decoded again, strictly. Paths that are not of the local file
    system pass.
    """
    if '://' in path:
        return None
    if not os.path.exists(path):
        return 'does not exist'
    if os.path.getsize(path) == 0:
        return 'is empty'
    if not thorough and _ends_whole(path):
        return None
    return _decoding_fault(path)


def _ends_whole(path: str) -> bool:
    marker = _LAST_BYTES.get(os.path.splitext(path)[1].lower())
    if marker is None:
        return True
    with open(path, 'rb') as file:
        file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
        return marker in file.read()


def _decoding_fault(path: str) -> str | None:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        return f'cannot be decoded ({error})'
    return None
