"""The page of a comparison: tables, numbers and a plot of the trainings that have ended."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mmengine.config import Config

from mmaddp.utils import atomic_write

from .comparison_spec import Comparison, Task
from .sweep_results import DIVERGED, DONE, Result

PAGE, NUMBERS, PLOT = (f'comparison.{end}' for end in ('md', 'json', 'png'))
# Facts of a training that stand beside its metrics.
PARAMETERS, IMAGES, EPOCHS, ITERATIONS, BATCH = FACTS = (
    'encoder_parameters',
    'pretraining_images',
    'epochs',
    'iterations',
    'batch_size',
)
NOTHING = '-'
Row = dict[str, Any]


def write_tables(comparison: Comparison, work_dir: str | Path) -> None:
    """Write ``comparison.md`` and ``comparison.json``."""
    folder, rows = Path(work_dir), all_rows(comparison, work_dir)
    with atomic_write(folder / PAGE) as temporary:
        temporary.write_text(page(comparison, rows))
    numbers = {'title': comparison.title, 'tasks': rows}
    with atomic_write(folder / NUMBERS) as temporary:
        temporary.write_text(json.dumps(numbers, indent=2) + '\n')


def write_plot(comparison: Comparison, work_dir: str | Path) -> None:
    """Draw the tables to ``comparison.png``."""
    with atomic_write(Path(work_dir) / PLOT) as temporary:
        figure = draw(comparison, all_rows(comparison, work_dir))
        figure.savefig(temporary, dpi=120, format='png')


def all_rows(comparison: Comparison, work_dir: str | Path) -> dict[str, list[Row]]:
    """See :func:`rows_of`, by task."""
    return {task: list(rows_of(comparison, Path(work_dir), task)) for task in comparison.tasks}


def rows_of(comparison: Comparison, folder: Path, task: str) -> Iterator[Row]:
    """What there is of each method in a task.

    Yields:
        ``method``, its ``facts``, ``seeds``: the metrics of each that has ended, ``diverged``: the
        seeds that did, and ``summary``: of each metric ``mean`` and ``spread``.
    """
    metrics = comparison.tasks[task].metrics
    for method in comparison.methods:
        if task not in comparison.methods[method].entries:
            continue
        results = {
            seed: read_result(folder / task / method / f'seed-{seed}') for seed in comparison.seeds
        }
        done = {seed: one.metrics for seed, one in results.items() if one.state == DONE}
        yield dict(
            method=method,
            facts={k: v for one in done.values() for k, v in one.items() if k in FACTS},
            seeds={
                seed: {label: one[name] for label, name in metrics.items()}
                for seed, one in done.items()
            },
            diverged=[seed for seed, one in results.items() if one.state == DIVERGED],
            summary={
                label: summary([one[name] for one in done.values()])
                for label, name in metrics.items()
                if done
            },
        )


def read_result(folder: Path) -> Result:
    """How the training of a folder ended, open where it has not."""
    found = list(folder.glob('cells/*/result.json'))
    return Result(**json.loads(found[0].read_text())) if found else Result()


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation (of a sample) over seeds; None for the latter from one."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {'mean': statistics.fmean(values), 'spread': spread}


def page(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """The whole page in Markdown."""
    parts = [f'# {comparison.title}', overview(comparison, rows)]
    parts.append(f'Mean ± standard deviation over the seeds {comparison.seeds}, as far as run.')
    for name, task in comparison.tasks.items():
        parts += [f'## {task.title}', task_table(comparison, task, rows[name])]
    return '\n\n'.join([*parts, f'![{comparison.title}]({PLOT})']) + '\n'


def overview(comparison: Comparison, rows: dict[str, list[Row]]) -> str:
    """One line a method, the first metric of each task."""
    first = {name: next(iter(task.metrics)) for name, task in comparison.tasks.items()}
    heads = [f'{task.title}: {first[name]}' for name, task in comparison.tasks.items()]
    table = [['method', *heads]]
    for method, settings in comparison.methods.items():
        own = {name: row for name in rows for row in rows[name] if row['method'] == method}
        values = [
            told(own[name]['summary'].get(first[name])) if name in own else NOTHING
            for name in comparison.tasks
        ]
        table.append([settings.title, *values])
    return markdown(table)


def task_table(comparison: Comparison, task: Task, rows: Sequence[Row]) -> str:
    """One line a method: its encoder, both budgets, means, and the values of the seeds."""
    heads = ['encoder (M parameters)', 'images in pre-training', 'training', *task.metrics, 'seeds']
    table = [['method', *heads]]
    for row in rows:
        facts = row['facts']
        size = f'{facts[PARAMETERS] / 1e6:.2f}' if PARAMETERS in facts else NOTHING
        images = f'{facts[IMAGES]:,.0f}' if IMAGES in facts else NOTHING
        values = [told(row['summary'].get(label)) for label in task.metrics]
        title = comparison.methods[row['method']].title
        table.append([title, size, images, told_budget(facts), *values, told_seeds(row)])
    return markdown(table)


def told(numbers: dict[str, float | None] | None) -> str:
    """Mean and spread in words."""
    if numbers is None:
        return NOTHING
    mean, spread = numbers['mean'], numbers['spread']
    return digits(mean) if spread is None else f'{digits(mean)} ± {digits(spread, mean)}'


def digits(value: float, like: float | None = None) -> str:
    """A percentage with two digits behind the point, a fraction of one with four."""
    return f'{value:.4f}' if abs(value if like is None else like) <= 1 else f'{value:.2f}'


def told_seeds(row: Row) -> str:
    """The first metric of each seed."""
    values = [digits(next(iter(metrics.values()))) for metrics in row['seeds'].values()]
    diverged = [f'seed {seed} diverged' for seed in row['diverged']]
    return ', '.join([*values, *diverged]) or NOTHING


def budget(config: Config) -> dict[str, int]:
    """How long a config trains: epochs or iterations, and the images of a step."""
    loop = config.train_cfg
    key, length = (
        (EPOCHS, loop.max_epochs) if 'max_epochs' in loop else (ITERATIONS, loop.max_iters)
    )
    return {key: length, BATCH: batch_size(config)}


def batch_size(config: Config) -> int:
    """Images of a step of the whole run, which the config may say for its learning rate."""
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    return base or config.train_dataloader.batch_size


def told_budget(facts: dict[str, float]) -> str:
    """The budget in words."""
    told = [f'{key}: {facts[key]:.0f}' for key in (EPOCHS, ITERATIONS) if key in facts]
    return f'{told[0]}, images a step: {facts[BATCH]:.0f}' if told else NOTHING


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table, its first row the head."""
    lines = [list(rows[0]), ['---'] * len(rows[0]), *rows[1:]]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def draw(comparison: Comparison, rows: dict[str, list[Row]]) -> Figure:
    """A plot for each metric of each task: bars of the means, dots of the seeds."""
    plots = [(name, label) for name, task in comparison.tasks.items() for label in task.metrics]
    columns = min(len(plots), 3)
    height = math.ceil(len(plots) / columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * height), layout='constrained')
    axes = figure.subplots(height, columns, squeeze=False).flat
    for axis, (name, label) in zip(axes, plots):
        plot_bars(axis, comparison, rows[name], label)
        axis.set_title(f'{comparison.tasks[name].title}\n{label}', fontsize='medium')
    for axis in list(axes)[len(plots) :]:
        axis.set_axis_off()
    return figure


def plot_bars(axis: Axes, comparison: Comparison, rows: Sequence[Row], label: str) -> None:
    """The bars of one metric, the same color for a method in all plots."""
    methods = list(comparison.methods)
    for row in rows:
        if not row['summary']:
            continue
        place = methods.index(row['method'])
        values = [metrics[label] for metrics in row['seeds'].values()]
        axis.bar(place, row['summary'][label]['mean'], color=f'C{place}', alpha=0.6)
        axis.scatter([place] * len(values), values, s=14, color='black', zorder=2)
    titles = [comparison.methods[name].title for name in methods]
    axis.set_xlim(-0.6, len(methods) - 0.4)
    axis.set_xticks(range(len(methods)), titles, rotation=30, ha='right', fontsize='small')
    axis.grid(axis='y', alpha=0.3)
