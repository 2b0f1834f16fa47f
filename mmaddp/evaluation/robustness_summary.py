"""Summary of the results of robustness test sets."""

from __future__ import annotations

from collections.abc import Mapping

from mmaddp.datasets.imagenet_variants import CORRUPTIONS, SEVERITIES
from mmaddp.evaluation.corruption_error import corruption_errors

PLAIN_DATASETS = {'imagenet-a': 200, 'imagenet-r': 200, 'imagenet-sketch': 1000}


def summarize(parts: Mapping[str, Mapping]) -> dict:
    """Gather the results of parts into figures for each data set.

    Args:
        parts: For keys such as 'imagenet-a' and 'imagenet-c/fog/3' a mapping with ``top1``
            (percent), ``images`` and ``classes`` (how many classes have images).

    Returns:
        For each data set ``top1``, ``error``, ``images`` and ``notes`` (lines on missing data); for
        'imagenet-c' also ``mce`` and ``corruptions``, each with ``top1``, ``error``, ``ce`` and
        ``images``. In percent; None where severities are missing.
    """
    summary = {
        name: {
            'top1': parts[name]['top1'],
            'error': 100 - parts[name]['top1'],
            'images': parts[name]['images'],
            'notes': _class_notes(name, parts[name]['classes'], classes),
        }
        for name, classes in PLAIN_DATASETS.items()
        if name in parts
    }
    results = _severities(parts)
    if results:
        summary['imagenet-c'] = _summarize_corruptions(results)
    return summary


def _severities(parts: Mapping[str, Mapping]) -> dict[str, dict[int, Mapping]]:
    keys = {c: {s: f'imagenet-c/{c}/{s}' for s in SEVERITIES} for c in CORRUPTIONS}
    found = {
        c: {s: parts[key] for s, key in severities.items() if key in parts}
        for c, severities in keys.items()
    }
    return {c: severities for c, severities in found.items() if severities}


def _summarize_corruptions(results: dict[str, dict[int, Mapping]]) -> dict:
    errors = {c: {s: 100 - r['top1'] for s, r in results[c].items()} for c in results}
    figures = corruption_errors(errors)
    corruptions = {
        c: {
            'top1': 100 - figures.error[c] if c in figures.error else None,
            'error': figures.error.get(c),
            'ce': figures.ce.get(c),
            'images': sum(r['images'] for r in results[c].values()),
        }
        for c in results
    }
    # One corruption with missing classes makes the mean incomparable.
    fewest = min(r['classes'] for severities in results.values() for r in severities.values())
    return {
        'top1': None if figures.mean_error is None else 100 - figures.mean_error,
        'error': figures.mean_error,
        'mce': figures.mce,
        'images': sum(corruption['images'] for corruption in corruptions.values()),
        'corruptions': corruptions,
        'notes': _missing_notes(figures.missing) + _class_notes('imagenet-c', fewest, 1000),
    }


def _class_notes(name: str, present: int, expected: int) -> list[str]:
    if present == expected:
        return []
    return [
        f'{name}: images for {present} of its {expected} classes only; '
        f'not comparable with published figures'
    ]


def _missing_notes(missing: Mapping[str, tuple[int, ...]]) -> list[str]:
    if not missing:
        return []
    lacking = ', '.join(
        c if severities == SEVERITIES else f'{c} (severity {", ".join(map(str, severities))})'
        for c, severities in missing.items()
    )
    return [
        f'imagenet-c: no mCE, which needs all 15 corruptions at 5 severities; missing: {lacking}'
    ]
