"""Networks of other libraries behind one interface."""

from __future__ import annotations

from importlib import import_module

from mmaddp.utils import UserError, require

from .base import Layer, Library, Measured, measure, pad_image
from .windows import Windows, windowed

# Imported at first use: each needs its library.
LIBRARIES = {
    'timm': '.timm_models:TimmModel',
    'hf': '.transformers_models:TransformersModel',
    'diffusers': '.diffusers_models:DiffusersModel',
    'py': '.functions:FunctionModel',
    'mmaddp': '.own:OwnModel',
}
# What is not installed with the package.
PACKAGES = {'hf': 'transformers', 'diffusers': 'diffusers'}

__all__ = [
    'LIBRARIES',
    'Layer',
    'Library',
    'Measured',
    'Windows',
    'find_library',
    'measure',
    'pad_image',
    'windowed',
]


def find_library(model: str) -> tuple[type[Library], str]:
    """The class of a ``model`` and the name behind its prefix.

    Raises:
        UserError: There is no such library, or it is not installed.
    """
    prefix, _, name = model.partition(':')
    if prefix not in LIBRARIES or not name:
        raise UserError(
            f"model='{model}': give one of {', '.join(f'{one}:NAME' for one in LIBRARIES)}"
        )
    if prefix in PACKAGES:
        require(f"model='{model}'", PACKAGES[prefix])
    module, _, class_name = LIBRARIES[prefix].partition(':')
    return getattr(import_module(module, __name__), class_name), name
