"""MMPretrain beside a transformers of version 5 or later.

MMPretrain's multimodal models import names that version 5 has removed, and its import fails where
that is installed. Nothing here uses these models, so MMPretrain is told that it has none.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

MODULE = 'mmpretrain.utils.dependency'


class DependencyFinder(MetaPathFinder):
    """Find MMPretrain's list of optional packages, and take the multimodal ones off it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec:
        """Answer for that module alone."""
        spec = PathFinder.find_spec(fullname, path) if fullname == MODULE else None
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                module.WITH_MULTIMODAL = False

            spec.loader.exec_module = exec_module
        return spec


def leave_out() -> None:
    """Leave MMPretrain's multimodal models out where they cannot be imported."""
    try:
        major = int(version('transformers').split('.')[0])
    except PackageNotFoundError:
        return
    if major >= 5:
        sys.meta_path.insert(0, DependencyFinder())
