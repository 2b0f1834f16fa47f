"""Scripts as modules, and the folders of pictures that some of them write."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image


def load_script(path: Path) -> ModuleType:
    """A file outside any package, run as a module is."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_main(path: Path, words: list[str]) -> None:
    """Call a tool's main; for a process of its own."""
    load_script(path).main(words)


def read_image_folder(folder: Path) -> dict[str, np.ndarray]:
    """The PNGs of a folder by name."""
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob('*.png'))}


def assert_same_images(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Names are the same, and values but for rounding."""
    assert one.keys() == other.keys()
    for name in one:
        assert np.abs(one[name].astype(int) - other[name].astype(int)).max() <= 1
