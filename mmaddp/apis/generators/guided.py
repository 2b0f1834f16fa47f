"""Generating with DDAE under a noise-conditional classifier: whole images of one class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmaddp.diffusion import Denoised, ImageNoise
from mmaddp.models import NoiseConditionalClassifier
from mmaddp.utils import UserError

from .base import Start
from .ddae import DDAEGenerator


@dataclass(frozen=True)
class GuidedSampler:
    """A sampler of the process, and where it is drawn to.

    Args:
        sampler: The sampler.
        label: The class of all images.
        guidance: s of :class:`mmaddp.diffusion.ClassifierGuidance`.
    """

    sampler: Any
    label: int
    guidance: float = 1.0


class GuidedGenerator(DDAEGenerator):
    """A DDAE whose classifier says what is generated; all else is the DDAE's."""

    def __init__(self, model: NoiseConditionalClassifier) -> None:
        super().__init__(model.pretrainer)
        self.classifier = model

    def sampler(
        self, settings: Mapping[str, Any], spelled: Mapping[str, str] | None = None
    ) -> GuidedSampler:
        """The sampler of the other settings, with ``label`` and ``guidance``.

        Raises:
            UserError: There is no label, it is no class, or as in the base class.
        """
        given = dict(settings)
        guidance = {name: given.pop(name) for name in ('label', 'guidance') if name in given}
        if 'label' not in guidance:
            name = (spelled or {}).get('label', 'label')
            last = self.classifier.head.num_classes - 1
            raise UserError(f'{name}: a classifier guides to a class; give one of 0 to {last}')
        guided = GuidedSampler(super().sampler(given, spelled), **guidance)
        self.classifier.guidance(guided.label, guided.guidance, 1)
        return guided

    def steps(self, sampler: GuidedSampler, start: Start, noise: ImageNoise) -> Iterator[Denoised]:
        """See the base class."""
        steps = self.classifier.sampling_steps(
            noise, sampler.label, sampler.guidance, sampler.sampler
        )
        return self.some(steps, sampler.sampler)

    def check(self, sampler: GuidedSampler, masked: Tensor) -> None:
        """See the base class."""
        super().check(sampler.sampler, masked)
