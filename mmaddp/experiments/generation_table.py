"""Results of generation settings as a table and as a plot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from matplotlib.figure import Figure

from mmaddp.utils import atomic_write

COLUMNS = {
    'FID': ('fid', '.2f'),
    'IS': ('inception_score', '.2f'),
    'precision': ('precision', '.3f'),
    'recall': ('recall', '.3f'),
    'images': ('num_images', 'd'),
    'reference': ('num_reference', 'd'),
}
NUMERIC = ('steps', 'temperature', 'top_p', 'eta')
# The covariance of fewer features than Inception's 2,048 dimensions is singular.
FEW_IMAGES = 2049


def format_settings(settings: Mapping) -> dict[str, str]:
    """How a sampler's settings are written; a decaying temperature is ``6 t/T`` (table 11)."""
    written = {
        name.replace('_', '-'): f'{value:g}' if isinstance(value, float) else str(value)
        for name, value in settings.items()
        if name != 'decaying'
    }
    if settings.get('decaying'):
        written['temperature'] += ' t/T'
    return written


def markdown_table(results: Sequence[Mapping]) -> str:
    """A row for each result, in Markdown.

    Args:
        results: Metrics as :class:`mmaddp.evaluation.GenerationMetrics` gives them; those with
            ``settings`` of a sampler have columns for these; samplers may differ in theirs.

    Returns:
        The table, with a note where figures are of too few images to be compared.
    """
    rows = [
        {**format_settings(result['settings']), **_figures(result)}
        if 'settings' in result
        else _figures(result)
        for result in results
    ]
    header = [name for name in dict.fromkeys(chain(*rows)) if name not in COLUMNS] + [*COLUMNS]
    cells = ([row.get(name, '-') for name in header] for row in rows)
    lines = [header, ['---:'] * len(header), *cells]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    counts = [result[key] for result in results for key in ('num_images', 'num_reference')]
    if min(count for count in counts if count is not None) >= FEW_IMAGES:
        return table
    return (
        f'{table}\n\nnote: FIDs of fewer than {FEW_IMAGES:,} images depend on their number; '
        f'published figures are of 50,000'
    )


def _figures(result: Mapping) -> dict[str, str]:
    return {
        column: '-' if result[key] is None else format(result[key], form)
        for column, (key, form) in COLUMNS.items()
    }


def plot_results(results: Sequence[Mapping], path: str | os.PathLike) -> None:
    """Draw FID and inception score over the setting that has most values, as figure 6 does.

    Args:
        results: Metrics with ``settings``; the other settings give a line each. A sampler that has
            not the setting is left out.
        path: A .png, .svg or .pdf.
    """
    values = {key: {result['settings'].get(key) for result in results} for key in NUMERIC}
    over = max(NUMERIC, key=lambda key: len(values[key] - {None}))
    results = [result for result in results if over in result['settings']]
    figure = Figure(figsize=(10, 3.5), layout='constrained')
    axes = figure.subplots(1, 2)
    for axis, title in zip(axes, ('FID', 'IS')):
        for label, line in lines_over(over, results).items():
            points = [(result['settings'][over], result[COLUMNS[title][0]]) for result in line]
            axis.plot(*zip(*sorted(points)), label=label, marker='o', ms=3)
        axis.set(xlabel=over.replace('_', '-'), title=title)
        axis.grid(alpha=0.3)
    if results:
        axes[0].legend(fontsize='small')
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format=Path(path).suffix.lstrip('.'))


def lines_over(over: str, results: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Results by what their settings other than ``over`` are.

    Decaying and static temperatures are a line each, as in table 11.
    """
    lines: dict[str, list[Mapping]] = {}
    for result in results:
        written = format_settings(result['settings'])
        written.pop(over.replace('_', '-'))
        if over == 'temperature' and 'decaying' in result['settings']:
            written['temperature'] = 'decaying' if result['settings']['decaying'] else 'static'
        label = ', '.join(f'{key} {value}' for key, value in written.items())
        lines.setdefault(label, []).append(result)
    return lines
