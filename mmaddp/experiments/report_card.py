"""The page of a comparison in one HTML file: tables, figures and images that need nothing else."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from mmaddp.datasets.imagenet_variants import CORRUPTIONS

from .comparison import CORRUPTIONS_FOLDER, PROTOCOL_FILE, Comparison, Job
from .comparison_page import (
    Row,
    all_rows,
    digits,
    notes,
    overview,
    plot_task,
    task_notes,
    task_table,
)
from .corruptions import CLEAN, SUMMARY_FILE
from .example_images import COUNT, EXAMPLES
from .figures import new_figure
from .html_report import HtmlReport
from .results import ResultsFolder, read_json

CARD = 'comparison.html'
# What the columns of images show, by the names of their files.
SHOWN = {
    'prediction': 'Predictions after training, on the same validation images',
    'features': 'Features of the encoder before training: three principal components as colors',
    'similarity': 'Similarity of its features to the marked position',
}


def write_card(comparison: Comparison, folder: ResultsFolder) -> Path:
    """Write ``comparison.html`` and return its path."""
    rows = all_rows(comparison, folder)
    report = HtmlReport(comparison.title)
    report.table(*overview(comparison, rows))
    for text in notes(comparison, rows):
        report.paragraph(text)
    for task in comparison.tasks:
        add_task(report, comparison, folder, task, rows[task])
    report.write(folder.path / CARD)
    return folder.path / CARD


def add_task(
    report: HtmlReport, comparison: Comparison, folder: ResultsFolder, task: str, rows: list[Row]
) -> None:
    """The section of a task."""
    settings = comparison.tasks[task]
    report.heading(settings.title)
    report.table(*task_table(comparison, task, rows))
    for text in task_notes(comparison, task):
        report.paragraph(text)
    if any(row['summary'] for row in rows):
        height = 1.4 + 0.35 * len(comparison.methods)
        figure, axes = new_figure(len(settings.metrics), width=4.6, height=max(height, 2.8))
        for axis, label in zip(axes, settings.metrics):
            plot_task(axis, comparison, task, rows, label)
        dots = '; black dots are seeds' if settings.labels == (1,) else ''
        report.image(figure, f'Means with 95 % intervals{dots}')
    if settings.severities:
        report.paragraph(
            f'Under corruption: {next(iter(settings.metrics))}, mean over severities '
            f'{list(settings.severities)} and finished seeds, all labels'
        )
        report.table(*corruption_table(comparison, folder, task))
    for title, path in heat_maps(comparison, folder, task):
        report.image(path, title)
    for name, title in SHOWN.items():
        add_examples(report, comparison, folder, task, name, title)
    for digest, fields in protocols(folder, task, rows).items():
        report.details(f'protocol {digest}', json.dumps(fields, indent=1))


def finished(
    comparison: Comparison, folder: ResultsFolder, task: str
) -> Iterator[tuple[str, Path]]:
    """Title and work folder of each method's first seed, most labels first, if there is one."""
    for method, settings in comparison.methods.items():
        for labels in sorted(comparison.tasks[task].labels, reverse=True):
            path = folder.path / Job(task, method, comparison.seeds[0], labels).key
            if path.is_dir():
                yield settings.title, path
                break


def corruption_table(
    comparison: Comparison, folder: ResultsFolder, task: str
) -> tuple[list[str], list[list]]:
    """Header and a row per method: clean, mean under corruption, its share, and each corruption."""
    heads = ['method', CLEAN, 'mean', 'mean / clean (%)', *CORRUPTIONS]
    table = []
    for method, settings in comparison.methods.items():
        jobs = [Job(task, method, seed) for seed in comparison.seeds]
        files = [folder.path / job.key / CORRUPTIONS_FOLDER / SUMMARY_FILE for job in jobs]
        found = [read_json(file) for file in files if file.is_file()]
        if found:
            rows = [[one[CLEAN], one['mpc'], 100 * (one['rpc'] or math.nan)] for one in found]
            rows = [
                row + [one['corruptions'][name] for name in CORRUPTIONS]
                for row, one in zip(rows, found)
            ]
            means = [statistics.fmean(column) for column in zip(*rows)]
            table.append([settings.title, *map(digits, means)])
    return heads, table


def heat_maps(
    comparison: Comparison, folder: ResultsFolder, task: str
) -> Iterator[tuple[str, Path]]:
    """The figures that a probe has written, with their methods."""
    for title, path in finished(comparison, folder, task):
        for figure in sorted(path.glob('*.png')):
            yield f'{title}: {figure.stem}', figure


def add_examples(
    report: HtmlReport,
    comparison: Comparison,
    folder: ResultsFolder,
    task: str,
    name: str,
    title: str,
) -> None:
    """A table of images: a row per image, a column per method."""
    found = {head: path / EXAMPLES for head, path in finished(comparison, folder, task)}
    found = {head: path for head, path in found.items() if (path / f'0_{name}.jpg').is_file()}
    if not found:
        return
    first = next(iter(found.values()))
    common = ['input', 'truth'] if name == 'prediction' else ['input']
    common = [one for one in common if (first / f'0_{one}.jpg').is_file()]
    report.paragraph(title)
    report.images(
        [*common, *found],
        [
            [first / f'{number}_{one}.jpg' for one in common]
            + [path / f'{number}_{name}.jpg' for path in found.values()]
            for number in range(COUNT)
            if (first / f'{number}_input.jpg').is_file()
        ],
    )


def protocols(folder: ResultsFolder, task: str, rows: list[Row]) -> dict[str, dict]:
    """The protocols of a task's numbers by hash."""
    found = {}
    for row in rows:
        if row['protocol']:
            job = Job(task, row['method'], next(iter(row['seeds'])), row['labels'])
            found[row['protocol']] = read_json(folder.path / job.key / PROTOCOL_FILE)
    return found
