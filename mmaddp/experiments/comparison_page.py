"""The page of a comparison: tables, numbers and a figure of the finished trainings."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmaddp.utils import write_json, write_text

from .comparison import (
    BATCH,
    EPOCHS,
    FACTS,
    IMAGES,
    ITERATIONS,
    PARAMETERS,
    Comparison,
    Job,
    Task,
)
from .figures import add_grid, new_figure, save_figure
from .results import ResultsFolder, markdown_table
from .sweep import DIVERGED, DONE

PAGE, NUMBERS, PLOT = (f'comparison.{end}' for end in ('md', 'json', 'png'))
Row = dict[str, Any]


def write_tables(comparison: Comparison, folder: ResultsFolder) -> None:
    """Write ``comparison.md`` and ``comparison.json``."""
    rows = all_rows(comparison, folder)
    write_text(folder.path / PAGE, page(comparison, rows))
    write_json(folder.path / NUMBERS, {'title': comparison.title, 'tasks': rows})


def write_plot(comparison: Comparison, folder: ResultsFolder) -> None:
    """Write ``comparison.png``."""
    save_figure(plot_comparison(comparison, all_rows(comparison, folder)), folder.path / PLOT)


def all_rows(comparison: Comparison, folder: ResultsFolder) -> dict[str, list[Row]]:
    """See :func:`rows_of`, by task."""
    results = folder.results
    return {task: list(rows_of(comparison, results, task)) for task in comparison.tasks}


def rows_of(comparison: Comparison, results: dict[str, Any], task: str) -> Iterator[Row]:
    """The results of each method in a task.

    Yields:
        ``method``, its ``facts``, ``seeds`` with the metrics of each finished one, ``diverged``
        seeds, and the ``summary`` with ``mean`` and ``spread`` of each metric.
    """
    metrics = comparison.tasks[task].metrics
    for method, settings in comparison.methods.items():
        if task not in settings.entries:
            continue
        keys = {seed: Job(task, method, seed).key for seed in comparison.seeds}
        ended = {seed: results[key] for seed, key in keys.items() if key in results}
        done = {seed: one['metrics'] for seed, one in ended.items() if one['state'] == DONE}
        yield dict(
            method=method,
            facts={k: v for one in done.values() for k, v in one.items() if k in FACTS},
            seeds={
                seed: {label: one[name] for label, name in metrics.items()}
                for seed, one in done.items()
            },
            diverged=[seed for seed, one in ended.items() if one['state'] == DIVERGED],
            summary={
                label: summary([one[name] for one in done.values()])
                for label, name in metrics.items()
                if done
            },
        )


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation over seeds; the latter is None for a single seed."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {'mean': statistics.fmean(values), 'spread': spread}


def page(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """The whole page in Markdown."""
    parts = [f'# {comparison.title}', overview(comparison, rows)]
    parts.append(f'Mean ± standard deviation over the finished seeds of {comparison.seeds}.')
    for name, task in comparison.tasks.items():
        parts += [f'## {task.title}', task_table(comparison, task, rows[name])]
    return '\n\n'.join([*parts, f'![{comparison.title}]({PLOT})']) + '\n'


def overview(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """A row per method with the first metric of each task."""
    first = {name: next(iter(task.metrics)) for name, task in comparison.tasks.items()}
    heads = [f'{task.title}: {first[name]}' for name, task in comparison.tasks.items()]
    table = []
    for method, settings in comparison.methods.items():
        own = {name: row for name in rows for row in rows[name] if row['method'] == method}
        values = (
            own[name]['summary'].get(first[name]) if name in own else None
            for name in comparison.tasks
        )
        table.append([settings.title, *map(format_summary, values)])
    return markdown_table(['method', *heads], table)


def task_table(comparison: Comparison, task: Task, rows: Sequence[Row]) -> str:
    """A row per method: encoder, budgets, means, and the values of the seeds."""
    heads = ['encoder (M parameters)', 'images in pre-training', 'training', *task.metrics, 'seeds']
    table = []
    for row in rows:
        facts = row['facts']
        size = f'{facts[PARAMETERS] / 1e6:.2f}' if PARAMETERS in facts else None
        images = f'{facts[IMAGES]:,.0f}' if IMAGES in facts else None
        values = [format_summary(row['summary'].get(label)) for label in task.metrics]
        title = comparison.methods[row['method']].title
        table.append([title, size, images, format_budget(facts), *values, format_seeds(row)])
    return markdown_table(['method', *heads], table)


def format_summary(numbers: dict[str, float | None] | None) -> str | None:
    """'63.00 ± 2.83'."""
    if numbers is None:
        return None
    mean, spread = numbers['mean'], numbers['spread']
    return digits(mean) if spread is None else f'{digits(mean)} ± {digits(spread, mean)}'


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
    """A plot per metric of each task; bars are means, dots are seeds."""
    plots = [(name, label) for name, task in comparison.tasks.items() for label in task.metrics]
    columns = min(len(plots), 3)
    figure, axes = new_figure(columns, math.ceil(len(plots) / columns), width=4.2, height=3.2)
    for axis, (name, label) in zip(axes, plots):
        plot_bars(axis, comparison, rows[name], label)
        axis.set_title(f'{comparison.tasks[name].title}\n{label}', fontsize='medium')
    for axis in axes[len(plots) :]:
        axis.set_axis_off()
    return figure


def plot_bars(axis: Axes, comparison: Comparison, rows: Sequence[Row], label: str) -> None:
    """The bars of a metric; methods keep their colors across plots."""
    methods = list(comparison.methods)
    for row in rows:
        if not row['summary']:
            continue
        position = methods.index(row['method'])
        values = [metrics[label] for metrics in row['seeds'].values()]
        axis.bar(position, row['summary'][label]['mean'], color=f'C{position}', alpha=0.6)
        axis.scatter([position] * len(values), values, s=14, color='black', zorder=2)
    titles = [comparison.methods[name].title for name in methods]
    axis.set_xlim(-0.6, len(methods) - 0.4)
    axis.set_xticks(range(len(methods)), titles, rotation=30, ha='right', fontsize='small')
    add_grid(axis)
