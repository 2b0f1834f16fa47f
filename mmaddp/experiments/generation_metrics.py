"""Comparison of sampler settings: their images, metrics, a table and a figure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.dist import broadcast_object_list, is_main_process

from mmaddp.evaluation.generation import GenerationMetrics, check_number
from mmaddp.models.pretrainers import ImageGenerator
from mmaddp.utils import UserError, write_text

from .figures import new_figure, plot_lines, save_figure
from .generation_folder import fingerprint, generate_folder
from .results import ResultsFolder, markdown_table

TABLE, PLOT, IMAGES = 'results.md', 'results.png', 'images'
COLUMNS = {
    'FID': ('fid', '.2f'),
    'Fréchet distance': ('frechet_distance', '.2f'),
    'IS': ('inception_score', '.2f'),
    'precision': ('precision', '.3f'),
    'recall': ('recall', '.3f'),
    'images': ('num_images', 'd'),
    'reference': ('num_reference', 'd'),
}
NUMERIC = ('steps', 'temperature', 'top_p', 'eta')
# The covariance of fewer features than Inception's 2,048 dimensions is singular.
FEW_IMAGES = 2049
Result = Mapping[str, Any]


def sampler_grid(model: ImageGenerator, *choices: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The distinct samplers of all combinations of settings.

    Args:
        model: The model to sample.
        choices: Sequences of settings by name. A sampler combines one of each; the last varies
            fastest.
    """
    combinations = itertools.product(*choices)
    settings = [dict(itertools.chain(*(one.items() for one in each))) for each in combinations]
    return list(dict.fromkeys(model.sampler(**each) for each in settings))


def sampler_name(sampler: Any) -> str:
    """The folder name of a sampler, 'steps-20_schedule-linear_temperature-6-decaying_top-p-1'."""
    settings = asdict(sampler)
    formatted = format_settings({**settings, 'decaying': False})
    if settings.get('decaying'):
        formatted['temperature'] += '-decaying'
    return '_'.join(f'{name}-{value}' for name, value in formatted.items())


def evaluate_samplers(
    model: ImageGenerator,
    samplers: Sequence[Any],
    metrics: GenerationMetrics | None,
    out_dir: str | Path,
    *,
    num_images: int,
    seed: int = 0,
    batch_size: int = 16,
) -> list[dict]:
    """Generate images with each sampler and measure them.

    Samplers with results in ``out_dir`` are skipped, and existing images are kept. All processes
    generate; the main process measures.

    Args:
        model: A model from :func:`mmaddp.apis.load_pretrainer`.
        samplers: Samplers from :func:`sampler_grid`.
        metrics: The metrics; needed in the main process only.
        out_dir: Gets the results, a table, a figure and ``images/NAME/`` of each sampler.
        num_images: Images per sampler.
        seed: Seed of all images.
        batch_size: Batch size of each process.

    Returns:
        The :class:`GenerationMetrics` of every sampler in ``out_dir`` with its ``settings`` and
        ``folder``; empty in other processes.

    Raises:
        UserError: ``out_dir`` belongs to another model, seed, number of images or reference; a
            sampler does not fit the model; or images and reference differ in size.
    """
    for sampler in samplers:
        # Before hours of generation, not after.
        model.check_start(sampler, model.blank().masked)
        if not fields(sampler):
            raise UserError(
                f'{type(sampler).__name__}: nothing is random, all images would be equal; take a '
                'model trained by diffusion'
            )
    check_number('--num-images', num_images)
    results = None
    if is_main_process():
        metrics.check_size((model.side,) * 2, 'the model')
        results = ResultsFolder(
            out_dir,
            {
                **fingerprint(model),
                'seed': seed,
                'num_images': num_images,
                'reference': metrics.reference.file.name,
                'networks': metrics.networks.name,
            },
        )
    # Only the main process reads the folder, and all must skip the same samplers.
    known = [set(results.results) if results else None]
    broadcast_object_list(known)
    for number, sampler in enumerate(samplers, start=1):
        name = sampler_name(sampler)
        folder = Path(out_dir, IMAGES, name)
        if name not in known[0]:
            generate_folder(model, sampler, folder, num_images, seed, batch_size)
        if results:
            if name not in results:
                measured = metrics(folder, num_images)
                settings = {'settings': asdict(sampler), 'folder': str(folder)}
                results.add(name, {**settings, **measured})
                write_report(results)
            result = results[name]
            distance = result[metrics.networks.distance]
            brief = f'{names_of(result)[0]} {distance:.2f}'
            print(f'[{number}/{len(samplers)}] {name}: {brief}', flush=True)
    return list(results.results.values()) if results else []


def write_report(results: ResultsFolder) -> None:
    """Write the table and the figure of all samplers."""
    rows = list(results.results.values())
    write_text(results.path / TABLE, metrics_table(rows) + '\n')
    save_figure(plot_metrics(rows), results.path / PLOT)


def format_settings(settings: Mapping) -> dict[str, str]:
    """A sampler's settings as text; a decaying temperature is ``6 t/T`` (table 11)."""
    formatted = {
        name.replace('_', '-'): f'{value:g}' if isinstance(value, float) else str(value)
        for name, value in settings.items()
        if name != 'decaying'
    }
    if settings.get('decaying'):
        formatted['temperature'] += ' t/T'
    return formatted


def metrics_table(results: Sequence[Result]) -> str:
    """A Markdown table with a row per result.

    Args:
        results: Results of :class:`mmaddp.evaluation.generation.GenerationMetrics`. The
            ``settings`` of all samplers are columns too.

    Returns:
        The table, with a note if too few images were measured to compare with published values.
    """
    rows = [
        {**format_settings(result.get('settings', {})), **_format_metrics(result)}
        for result in results
    ]
    settings = [name for name in dict.fromkeys(itertools.chain(*rows)) if name not in COLUMNS]
    header = [*settings, *dict.fromkeys(itertools.chain(*map(names_of, results)))]
    table = markdown_table(header, ([row.get(name) for name in header] for row in rows))
    # A published reference may not say how many images it is of.
    counts = [result[key] for result in results for key in ('num_images', 'num_reference')]
    if min(count for count in counts if count is not None) >= FEW_IMAGES:
        return table
    return (
        f'{table}\n\nnote: distances of fewer than {FEW_IMAGES:,} images depend on their '
        'number; published FIDs are of 50,000'
    )


def names_of(result: Result) -> list[str]:
    """Columns of a result: an encoder's features give a distance, and no inception score."""
    names = [column for column, (key, _) in COLUMNS.items() if key in result]
    return names if 'fid' in result else [name for name in names if name != 'IS']


def _format_metrics(result: Result) -> dict[str, str | None]:
    columns = {name: COLUMNS[name] for name in names_of(result)}
    return {
        column: None if result[key] is None else format(result[key], form)
        for column, (key, form) in columns.items()
    }


def plot_metrics(results: Sequence[Result]) -> Figure:
    """Distance and inception score over the setting with most values (figure 6).

    Args:
        results: Metrics with ``settings``. Each combination of the other settings is a line;
            samplers without the setting are omitted.
    """
    metrics = [name for name in names_of(results[0]) if name in ('FID', 'Fréchet distance', 'IS')]
    values = {key: {result['settings'].get(key) for result in results} for key in NUMERIC}
    # The setting that varies most is the axis of the figure.
    over = max(NUMERIC, key=lambda key: len(values[key] - {None}))
    results = [result for result in results if over in result['settings']]
    figure, axes = new_figure(columns=len(metrics))
    for axis, title in zip(np.atleast_1d(axes), metrics):
        metric, _ = COLUMNS[title]
        lines = {
            label: sorted((result['settings'][over], result[metric]) for result in line)
            for label, line in lines_over(over, results).items()
        }
        plot_lines(axis, lines)
        axis.set(xlabel=over.replace('_', '-'), title=title)
    return figure


def lines_over(over: str, results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results grouped by their settings other than ``over``.

    Decaying and static temperatures are separate lines, as in table 11.
    """
    lines: dict[str, list[Result]] = {}
    for result in results:
        formatted = format_settings(result['settings'])
        formatted.pop(over.replace('_', '-'))
        if over == 'temperature' and 'decaying' in result['settings']:
            formatted['temperature'] = 'decaying' if result['settings']['decaying'] else 'static'
        label = ', '.join(f'{key} {value}' for key, value in formatted.items())
        lines.setdefault(label, []).append(result)
    return lines
