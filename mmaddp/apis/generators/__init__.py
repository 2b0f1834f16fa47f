"""Each method's models as what the functions and tools that generate ask for."""

from torch import nn

from mmaddp.models import ADDP, DARL, DDAE, NoiseConditionalClassifier
from mmaddp.utils import UserError

from .addp import ADDPGenerator
from .base import ImageGenerator, Start
from .darl import DARLGenerator
from .ddae import DDAEGenerator
from .guided import GuidedGenerator
from .options import OPTIONS

GENERATORS = {
    ADDP: ADDPGenerator,
    DARL: DARLGenerator,
    DDAE: DDAEGenerator,
    NoiseConditionalClassifier: GuidedGenerator,
}


def generator_of(model: nn.Module) -> ImageGenerator:
    """The model with what is particular about generating with it.

    Raises:
        UserError: It is of no method that generates.
    """
    for method, generator in GENERATORS.items():
        if isinstance(model, method):
            return generator(model)
    names = ' or '.join(method.__name__ for method in GENERATORS)
    raise UserError(f'a {type(model).__name__} does not generate images: give an {names}')


__all__ = ['GENERATORS', 'OPTIONS', 'ImageGenerator', 'Start', 'generator_of']
