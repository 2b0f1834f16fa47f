"""Scripts as modules, and the folders of images that some of them write."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image


def load_script(path: Path) -> ModuleType:
    """A file outside any package, run as a module is."""
    spec = importlib.util.spec_from_file_location(f'script_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    # Data classes look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_main(path: Path, words: list[str], environment: dict[str, str] | None = None) -> None:
    """Call a tool's main, in a child process if it needs an environment of its own."""
    os.environ.update(environment or {})
    load_script(path).main(words)


def read_image_folder(folder: Path) -> dict[str, np.ndarray]:
    """The PNGs of a folder by name."""
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob('*.png'))}


def assert_same_images(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Names are the same, and values but for rounding."""
    assert one.keys() == other.keys()
    for name in one:
        assert np.abs(one[name].astype(int) - other[name].astype(int)).max() <= 1
