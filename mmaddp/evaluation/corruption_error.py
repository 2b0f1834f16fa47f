"""ImageNet-C's corruption errors (Hendrycks and Dietterich, ICLR 2019, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmaddp.datasets.imagenet_variants import CORRUPTIONS, SEVERITIES

# AlexNet's top-1 error in percent, the mean of its errors at the five severities. These are the
# six-digit values that the benchmark's authors publish with it; their paper prints one decimal.
ALEXNET_ERRORS = {
    'gaussian_noise': 88.6428,
    'shot_noise': 89.4468,
    'impulse_noise': 92.2640,
    'defocus_blur': 81.9880,
    'glass_blur': 82.6268,
    'motion_blur': 78.5948,
    'zoom_blur': 79.8360,
    'snow': 86.6816,
    'frost': 82.6572,
    'fog': 81.9324,
    'brightness': 56.4592,
    'contrast': 85.3204,
    'elastic_transform': 64.6056,
    'pixelate': 71.7840,
    'jpeg_compression': 60.6500,
}


@dataclass(frozen=True)
class CorruptionErrors:
    """Errors of a classifier on ImageNet-C, all in percent.

    Attributes:
        error: Mean top-1 error over the five severities, by complete corruption.
        ce: The same relative to AlexNet's (100 is AlexNet).
        mean_error: Mean of ``error``; None unless all 15 corruptions are complete.
        mce: Mean corruption error, the mean of ``ce``; None unless all 15 are complete.
        missing: Missing severities by incomplete corruption.
    """

    error: dict[str, float]
    ce: dict[str, float]
    mean_error: float | None
    mce: float | None
    missing: dict[str, tuple[int, ...]]


def corruption_errors(errors: Mapping[str, Mapping[int, float]]) -> CorruptionErrors:
    """Normalize errors by AlexNet's: CE_c = sum_s E_(s,c) / sum_s E^AlexNet_(s,c).

    Args:
        errors: ``errors[corruption][severity]`` is a top-1 error in percent. Names other than the
            15 test corruptions, such as the benchmark's four for validation, are ignored.

    Returns:
        The errors of complete corruptions, and the missing severities.
    """
    lacking = {c: tuple(s for s in SEVERITIES if s not in errors.get(c, {})) for c in CORRUPTIONS}
    missing = {c: severities for c, severities in lacking.items() if severities}
    whole = [c for c in CORRUPTIONS if c not in missing]
    error = {c: sum(errors[c][s] for s in SEVERITIES) / len(SEVERITIES) for c in whole}
    # The sums over severities have equally many terms, so their ratio is that of the means.
    ce = {c: 100 * error[c] / ALEXNET_ERRORS[c] for c in whole}
    if missing:
        return CorruptionErrors(error, ce, None, None, missing)
    count = len(CORRUPTIONS)
    return CorruptionErrors(error, ce, sum(error.values()) / count, sum(ce.values()) / count, {})
