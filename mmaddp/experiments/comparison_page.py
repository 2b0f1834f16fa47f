"""The numbers of a comparison: means, intervals and tests, as Markdown, LaTeX and JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmaddp.evaluation.statistics import Estimate, estimate, holm
from mmaddp.utils import UserError, write_json, write_text

from .comparison import (
    BATCH,
    BOOTSTRAP_FILE,
    EPOCHS,
    FACTS,
    IMAGES,
    ITERATIONS,
    PROTOCOL_FILE,
    Comparison,
    Job,
)
from .costs import FLOPS, MEMORY, PARAMETERS, SPEED
from .figures import add_grid, new_figure, save_figure
from .protocol import check_same, hash_of
from .results import ResultsFolder, latex_table, markdown_table, read_json
from .sweep import DIVERGED, DONE

PAGE, NUMBERS, PLOT, LATEX = (f'comparison.{end}' for end in ('md', 'json', 'png', 'tex'))
Row = dict[str, Any]
# Below, a difference counts as found.
LEVEL = 0.05
# With fewer seeds, differences are shown but not tested.
MIN_SEEDS = 3
TITLE_WIDTH = 30  # characters of a line above an axis
# Columns that are left out where nothing is known.
OPTIONAL = ('GFLOPs', 'images/s', 'GPU memory (GiB)', 'images in pre-training')


def write_tables(comparison: Comparison, folder: ResultsFolder) -> None:
    """Write ``comparison.md``, ``comparison.tex`` and ``comparison.json``."""
    rows = all_rows(comparison, folder)
    write_text(folder.path / PAGE, page(comparison, rows))
    write_text(folder.path / LATEX, latex(comparison, rows))
    write_json(folder.path / NUMBERS, {'title': comparison.title, 'tasks': rows})


def write_plot(comparison: Comparison, folder: ResultsFolder) -> None:
    """Write ``comparison.png``."""
    save_figure(plot_comparison(comparison, all_rows(comparison, folder)), folder.path / PLOT)


def all_rows(comparison: Comparison, folder: ResultsFolder) -> dict[str, list[Row]]:
    """See :func:`rows_of`, by task, with the tests of each task.

    Raises:
        UserError: The protocols of two rows of a table differ.
    """
    rows = {task: list(rows_of(comparison, folder, task)) for task in comparison.tasks}
    for task, own in rows.items():
        for labels in comparison.tasks[task].labels:
            protocols = {
                row['method']: row['protocol_fields']
                for row in own
                if row['labels'] == labels and row['protocol_fields']
            }
            check_same(protocols, f'tasks.{task}', comparison.tasks[task].may_differ)
        for row in own:
            row.pop('protocol_fields')
        add_tests(comparison, folder, task, own)
    return rows


def rows_of(comparison: Comparison, folder: ResultsFolder, task: str) -> Iterator[Row]:
    """The results of each method in a task, for each part of the labels.

    Yields:
        ``method``, ``labels``, hash of the ``protocol``, its ``facts``, ``seeds`` with the metrics
        of each finished one, ``diverged`` seeds, and the ``summary``: for each metric the fields of
        :class:`mmaddp.evaluation.Estimate` and the number of images, 0 where their part in the
        interval is not known.
    """
    metrics, results = comparison.tasks[task].metrics, folder.results
    cells = [
        (method, labels)
        for labels in comparison.tasks[task].labels
        for method, settings in comparison.methods.items()
        if task in settings.entries
    ]
    for method, labels in cells:
        keys = {seed: Job(task, method, seed, labels).key for seed in comparison.seeds}
        ended = {seed: results[key] for seed, key in keys.items() if key in results}
        done = {seed: one['metrics'] for seed, one in ended.items() if one['state'] == DONE}
        fields = read_json(folder.path / keys[next(iter(done))] / PROTOCOL_FILE) if done else {}
        yield dict(
            method=method,
            labels=labels,
            protocol=hash_of(fields) if fields else None,
            protocol_fields=fields,
            facts={k: v for one in done.values() for k, v in one.items() if k in FACTS},
            seeds={
                seed: {label: one[name] for label, name in metrics.items()}
                for seed, one in done.items()
            },
            diverged=[seed for seed, one in ended.items() if one['state'] == DIVERGED],
            summary={
                label: summary({s: one[name] for s, one in done.items()}, keys, folder, name)
                for label, name in metrics.items()
                if done
            },
        )


def summary(
    values: dict[int, float], keys: dict[int, str], folder: ResultsFolder, name: str
) -> dict[str, Any]:
    """Mean and interval over seeds and, where their findings were kept, images."""
    found = [bootstrap(folder.path / keys[seed], name) for seed in values]
    if all(found):
        scores = np.array([one[0] for one, _, _ in found])
        # All seeds and methods are resampled alike: see mmaddp.evaluation.resample_images.
        one = estimate(scores, np.stack([all_[1:] for all_, _, _ in found], 1), found[0][1])
        return {**told(one), 'images': found[0][1]}
    one = estimate(np.array(list(values.values())), np.zeros((2, len(values))), 2)
    missing = {'low': None, 'high': None} if len(values) == 1 else {}
    return {**told(one), **missing, 'images': 0}


def told(one: Estimate) -> dict[str, float]:
    """The fields that a reader of the page needs."""
    return {'mean': one.mean, 'low': one.low, 'high': one.high}


def bootstrap(path: Path, name: str) -> tuple[np.ndarray, int, str] | None:
    """A metric on all images and their bootstrap samples, the number of images, and their hash."""
    if not (path / BOOTSTRAP_FILE).is_file():
        return None
    with np.load(path / BOOTSTRAP_FILE) as stored:
        if name not in stored:
            return None
        return stored[name], int(stored['images']), str(stored['truth'])


def add_tests(
    comparison: Comparison, folder: ResultsFolder, task: str, rows: Sequence[Row]
) -> None:
    """Add ``test`` to each row: its first metric minus its baseline's, by seed and image.

    The p-values of a task are adjusted for their number, see :func:`mmaddp.evaluation.holm`. With
    fewer than :data:`MIN_SEEDS` seeds there are none, since the variance between seeds is then
    hardly known.
    """
    name = next(iter(comparison.tasks[task].metrics.values()))
    tests, baselines = {}, [comparison.methods[row['method']].baseline for row in rows]
    for number, (row, baseline) in enumerate(zip(rows, baselines)):
        row['test'], row['rule'] = None, comparison.tasks[task].rule
        if baseline:
            pairs = [
                [Job(task, one, seed, row['labels']).key for one in (row['method'], baseline)]
                for seed in comparison.seeds
            ]
            found = paired_test(folder, pairs, name)
            if found is not None:
                tests[number] = found
    p_values = {number: one.p for number, one in tests.items() if one.seeds >= MIN_SEEDS}
    adjusted = holm(p_values)
    for number, one in tests.items():
        told_ = {'difference': one.mean, 'low': one.low, 'high': one.high, 'seeds': one.seeds}
        p = {'p': p_values.get(number), 'p_holm': adjusted.get(number)}
        rows[number]['test'] = {'baseline': baselines[number], **told_, **p}


def paired_test(folder: ResultsFolder, pairs: list[list[str]], name: str) -> Estimate | None:
    """The difference of two methods over the seeds and images that both have.

    Args:
        folder: The results.
        pairs: The keys of both methods for each seed.
        name: The metric.
    """
    results, differences, images = folder.results, [], 0
    for pair in pairs:
        if any(results.get(key, {}).get('state') != DONE for key in pair):
            continue
        one, base = (bootstrap(folder.path / key, name) for key in pair)
        if not (one and base):
            continue
        if one[1:] != base[1:]:
            raise UserError(f'{" and ".join(pair)} were evaluated on different images')
        differences.append(one[0] - base[0])
        images = one[1]
    if not differences:
        return None
    stacked = np.stack(differences, axis=1)
    return estimate(stacked[0], stacked[1:], images)


def page(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """The whole page in Markdown."""
    parts = [f'# {comparison.title}', markdown_table(*overview(comparison, rows))]
    parts += notes(comparison, rows)
    for name, task in comparison.tasks.items():
        parts += [f'## {task.title}', markdown_table(*task_table(comparison, name, rows[name]))]
        parts += task_notes(comparison, name)
    return '\n\n'.join([*parts, f'![{comparison.title}]({PLOT})']) + '\n'


def latex(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """The tables in LaTeX (booktabs)."""
    tables = [overview(comparison, rows)]
    tables += [task_table(comparison, name, rows[name]) for name in comparison.tasks]
    titles = [comparison.title, *(task.title for task in comparison.tasks.values())]
    return '\n'.join(f'% {title}\n{latex_table(*table)}' for title, table in zip(titles, tables))


def notes(comparison: Comparison, rows: dict[str, list[Row]]) -> list[str]:
    """What the numbers mean."""
    found = [
        f'Mean over the finished seeds of {list(comparison.seeds)}, with its 95 % interval over '
        'seeds and validation images. With one seed, the interval is about images only.'
    ]
    baselines = comparison.baselines
    if baselines:
        than = "the method's baseline, which the tables below name"
        if len(baselines) == 1:
            than = comparison.methods[baselines[0]].title
        found.append(
            f'▲ and ▼: better or worse than {than}. A paired test over seeds and images gives '
            "p < 0.05 after Holm's correction for all tests of the task. It needs at least "
            f'{MIN_SEEDS} seeds.'
        )
    summaries = [one for own in rows.values() for row in own for one in row['summary'].values()]
    if any(one['images'] == 0 for one in summaries):
        found.append(
            'Some metrics do not tell what they find on each image. Their intervals are over seeds '
            'alone, and they have no test.'
        )
    return found


def task_notes(comparison: Comparison, task: str) -> list[str]:
    """The fields of the protocol in which the rows of a task may differ."""
    fields = comparison.tasks[task].may_differ
    return [f'The protocols of the rows may differ in: {", ".join(fields)}.'] if fields else []


def overview(comparison: Comparison, rows: dict[str, list[Row]]) -> tuple[list[str], list[list]]:
    """Header and a row per method with the first metric of each task and part of the labels."""
    columns = [(name, part) for name, task in comparison.tasks.items() for part in task.labels]
    heads = [
        f'{comparison.tasks[name].title}: {next(iter(comparison.tasks[name].metrics))}'
        + format_labels(comparison, name, part)
        for name, part in columns
    ]
    table = []
    for method, settings in comparison.methods.items():
        found = {
            (name, row['labels']): row
            for name in rows
            for row in rows[name]
            if row['method'] == method
        }
        table.append([settings.title, *(format_first(found.get(column)) for column in columns)])
    return ['method', *heads], table


def format_labels(comparison: Comparison, task: str, part: float) -> str:
    """', 10 % of the labels', where a task has several parts."""
    return '' if comparison.tasks[task].labels == (1,) else f', {100 * part:g} % of the labels'


def format_first(row: Row | None) -> str | None:
    """The first metric of a row, with the outcome of its test."""
    if row is None or not row['summary']:
        return None
    return f'{format_summary(next(iter(row["summary"].values())))}{mark(row)}'


def mark(row: Row) -> str:
    """' ▲' or ' ▼' for a difference that the test finds."""
    test = row.get('test')
    if not test or test['p_holm'] is None or test['p_holm'] >= LEVEL:
        return ''
    return ' ▲' if (test['difference'] > 0) == (row['rule'] == 'greater') else ' ▼'


def task_table(
    comparison: Comparison, task: str, rows: Sequence[Row]
) -> tuple[list[str], list[list]]:
    """Header and rows: encoder, cost, protocol, means, the values of the seeds, and the test."""
    settings = comparison.tasks[task]
    several = settings.labels != (1,)
    heads = ['method', *(['labels'] if several else []), *settings.metrics]
    baselines = comparison.baselines
    heads += ['baseline'] if len(baselines) > 1 else []
    heads += ['difference to baseline', 'p (Holm)'] if baselines else []
    heads += ['seeds', 'encoder (M parameters)', *OPTIONAL, 'training', 'protocol']
    table = []
    for row in rows:
        cells = [comparison.methods[row['method']].title]
        cells += [f'{100 * row["labels"]:g} %'] if several else []
        cells += [format_summary(row['summary'].get(label)) for label in settings.metrics]
        cells += [title_of_baseline(comparison, row)] if len(baselines) > 1 else []
        cells += format_test(row) if baselines else []
        cells += [format_seeds(row), *format_facts(row['facts']), format_budget(row['facts'])]
        table.append([*cells, row['protocol']])
    return drop_empty(heads, table)


def title_of_baseline(comparison: Comparison, row: Row) -> str | None:
    """Title of the method that a row is tested against."""
    baseline = comparison.methods[row['method']].baseline
    return comparison.methods[baseline].title if baseline else None


def drop_empty(heads: list[str], table: list[list]) -> tuple[list[str], list[list]]:
    """Leave out optional columns that no row fills."""
    kept = [
        i
        for i, head in enumerate(heads)
        if head not in OPTIONAL or any(row[i] is not None for row in table)
    ]
    return [heads[i] for i in kept], [[row[i] for i in kept] for row in table]


def format_facts(facts: dict[str, float]) -> list[str | None]:
    """Parameters, GFLOPs, images per second, memory, and images in pre-training."""
    shown = (
        (PARAMETERS, lambda value: f'{value / 1e6:.2f}'),
        (FLOPS, lambda value: f'{value:.3g}'),
        (SPEED, lambda value: f'{value:.3g}'),
        (MEMORY, lambda value: f'{value / 1024:.1f}'),
        (IMAGES, lambda value: f'{value:,.0f}'),
    )
    return [form(facts[name]) if name in facts else None for name, form in shown]


def format_summary(numbers: dict[str, float | None] | None) -> str | None:
    """'63.00 [61.20, 64.80]'."""
    if numbers is None:
        return None
    mean, low, high = (numbers[key] for key in ('mean', 'low', 'high'))
    return digits(mean) if low is None else f'{digits(mean)} {interval(low, high, mean)}'


def interval(low: float, high: float, like: float) -> str:
    """'[61.20, 64.80]'."""
    return f'[{digits(low, like)}, {digits(high, like)}]'


def format_test(row: Row) -> list[str | None]:
    """The difference with its interval, and the adjusted p-value."""
    test = row['test']
    if test is None:
        return [None, None]
    like = next(iter(row['summary'].values()))['mean']
    shown = f'{digits(test["difference"], like)} {interval(test["low"], test["high"], like)}'
    p = test['p_holm']
    return [shown, p if p is None else '< 0.001' if p < 0.001 else f'{p:.3f}']


def digits(value: float, like: float | None = None) -> str:
    """Format percentages with two decimals, fractions of 1 with four."""
    return f'{value:.4f}' if abs(value if like is None else like) <= 1 else f'{value:.2f}'


def format_seeds(row: Row) -> str | None:
    """The first metric of each seed, and the seeds that diverged."""
    values = [digits(next(iter(metrics.values()))) for metrics in row['seeds'].values()]
    diverged = [f'seed {seed} diverged' for seed in row['diverged']]
    return ', '.join([*values, *diverged]) or None


def format_budget(facts: dict[str, float]) -> str | None:
    """'epochs: 5, batch size: 64'."""
    lengths = [f'{key}: {facts[key]:.0f}' for key in (EPOCHS, ITERATIONS) if key in facts]
    return f'{lengths[0]}, batch size: {facts[BATCH]:.0f}' if lengths else None


def plot_comparison(comparison: Comparison, rows: dict[str, list[Row]]) -> Figure:
    """A plot per metric of each task: means with intervals, or curves over the labels."""
    plots = [(name, label) for name, task in comparison.tasks.items() for label in task.metrics]
    columns = min(len(plots), 3)
    figure, axes = new_figure(columns, math.ceil(len(plots) / columns), width=4.2, height=3.2)
    for axis, (name, label) in zip(axes, plots):
        plot_task(axis, comparison, name, rows[name], label)
    for axis in axes[len(plots) :]:
        axis.set_axis_off()
    return figure


def plot_task(
    axis: Axes, comparison: Comparison, task: str, rows: Sequence[Row], label: str
) -> None:
    """One metric; methods keep their colors across plots."""
    draw = plot_means if comparison.tasks[task].labels == (1,) else plot_label_curves
    draw(axis, comparison, [row for row in rows if row['summary']], label)
    title = textwrap.fill(comparison.tasks[task].title, TITLE_WIDTH)
    axis.set_title(f'{title}\n{label}', fontsize='medium')
    add_grid(axis)


def plot_means(axis: Axes, comparison: Comparison, rows: Sequence[Row], label: str) -> None:
    """Mean and interval of each method, and its seeds as small dots; methods from the top."""
    methods = list(comparison.methods)
    for row in rows:
        position = methods.index(row['method'])
        values = [metrics[label] for metrics in row['seeds'].values()]
        plot_interval(axis, row['summary'][label], position, f'C{position}')
        axis.scatter(values, [position] * len(values), s=8, color='black', zorder=3)
    titles = [comparison.methods[name].title for name in methods]
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.set_yticks(range(len(methods)), titles, fontsize='small')


def plot_interval(axis: Axes, numbers: dict[str, Any], position: float, color: str) -> None:
    """A horizontal interval around a mean."""
    axis.plot(numbers['mean'], position, marker='o', ms=7, color=color)
    if numbers['low'] is not None:
        axis.plot([numbers['low'], numbers['high']], [position] * 2, color=color, lw=2)


def plot_label_curves(axis: Axes, comparison: Comparison, rows: Sequence[Row], label: str) -> None:
    """A curve per method over the fraction of the labels, with its intervals."""
    methods = list(comparison.methods)
    for method in dict.fromkeys(row['method'] for row in rows):
        own = sorted((row for row in rows if row['method'] == method), key=lambda r: r['labels'])
        x = [100 * row['labels'] for row in own]
        found = [row['summary'][label] for row in own]
        color = f'C{methods.index(method)}'
        axis.plot(
            x,
            [one['mean'] for one in found],
            marker='o',
            ms=4,
            color=color,
            label=comparison.methods[method].title,
        )
        for part, one in zip(x, found):
            if one['low'] is not None:
                axis.plot([part, part], [one['low'], one['high']], color=color, lw=1)
    axis.set_xscale('log')
    parts = sorted({100 * row['labels'] for row in rows})
    axis.set_xticks(parts, [f'{part:g}' for part in parts])
    axis.minorticks_off()
    axis.set_xlabel('labels (%)')
    if rows:
        # Beside the curves, which it would cover.
        axis.legend(fontsize='x-small', loc='upper left', bbox_to_anchor=(1, 1))
