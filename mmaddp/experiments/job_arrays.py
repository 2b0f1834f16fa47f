"""Cells of a comparison or a sweep as the tasks of a Slurm job array, through submitit.

Each task writes the result of its cell into the cell's own folder. Whoever waits for the array, or
calls the same command again, collects these files: no task touches a file of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Callable

from mmengine.config import Config

from mmaddp.utils import UserError, write_json

from .comparison import (
    Job,
    agree,
    prepare,
    read_comparison,
    run_cell,
    train_here,
)
from .results import ResultsFolder, read_json
from .sweep import Metrics, outcome

RESULT_FILE = 'result.json'


class ArrayTask:
    """Runs a cell; goes on where it was when Slurm requeues it.

    Args:
        run: Gives the result of a key.
        path: The results folder.
    """

    def __init__(self, run: Callable[[str], Any], path: Path) -> None:
        self.run, self.path = run, path

    def __call__(self, key: str) -> None:
        """Write the result of a key."""
        (self.path / key).mkdir(parents=True, exist_ok=True)
        write_json(self.path / key / RESULT_FILE, self.run(key))

    def checkpoint(self, key: str) -> Any:
        """What submitit runs after a preemption; trainings resume from their checkpoints."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, key)


def run_array(
    folder: ResultsFolder,
    keys: Iterable[str],
    run: Callable[[str], Any],
    options: Mapping[str, Any],
    cluster: str = 'slurm',
) -> None:
    """Run the open cells in a job array and wait for it. An array that was killed is collected too.

    Args:
        folder: The results; submitit's logs go to its folder ``slurm``.
        keys: Keys of the cells.
        run: Gives the result of a key; pickled.
        options: Settings of submitit's Slurm executor, such as ``partition`` and ``time``.
        cluster: 'slurm', or 'local' for processes of this machine.

    Raises:
        UserError: submitit is missing or refuses an option, or cells have failed.
    """
    try:
        import submitit
    except ImportError:
        raise UserError('--slurm needs submitit: pip install "mmaddp[slurm]"') from None
    keys = list(keys)
    collect(folder, keys)
    todo = [key for key in keys if key not in folder]
    if not todo:
        return
    executor = submitit.AutoExecutor(folder.path / 'slurm', cluster=cluster)
    try:
        executor.update_parameters(**{f'slurm_{name}': value for name, value in options.items()})
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f'--slurm: {str(error).splitlines()[0]}') from None
    jobs = executor.map_array(ArrayTask(run, folder.path.absolute()), todo)
    print(f'job array of {len(jobs)} tasks, logs in {folder.path / "slurm"}', flush=True)
    failed = [(key, job) for key, job in zip(todo, jobs) if job.exception() is not None]
    collect(folder, todo)
    if failed:
        key, job = failed[0]
        raise UserError(
            f'{len(failed)} of {len(jobs)} tasks failed, the first is {key}: see '
            f'{job.paths.stderr}, then run the same command again'
        )


def collect(folder: ResultsFolder, keys: Iterable[str]) -> None:
    """Take over the results that tasks have left in the folders of their cells."""
    known = folder.results
    for key in keys:
        result = read_json(folder.path / key / RESULT_FILE)
        if result and key not in known:
            folder.add(key, result)


def compare_in_arrays(
    spec: str | Path,
    work_dir: str | Path,
    jobs: list[Job],
    report: Callable[[ResultsFolder], None],
    options: Mapping[str, Any],
    train: Callable[[Config], Metrics] | None = None,
    cluster: str = 'slurm',
) -> ResultsFolder:
    """:func:`mmaddp.experiments.comparison.compare` by job arrays: two, if cells need a probe.

    Args:
        spec: The comparison file, which each task reads.
        work_dir: The results folder.
        jobs: The cells.
        report: Called after each array.
        options: See :func:`run_array`.
        train: See :func:`mmaddp.experiments.comparison.compare`.
        cluster: See :func:`run_array`.
    """
    comparison = read_comparison(spec)
    folder = prepare(comparison, work_dir, jobs)
    run = partial(run_comparison_cell, str(spec), str(folder.path.absolute()), train)
    for waits in (False, True):
        wave = [job for job in jobs if bool(comparison.probe_of(job)) == waits]
        for job in wave:
            agree(comparison, folder, job)
        run_array(folder, [job.key for job in wave], run, options, cluster)
        report(folder)
    return folder


def run_comparison_cell(
    spec: str, work_dir: str, train: Callable[[Config], Metrics] | None, key: str
) -> dict[str, Any]:
    """The result of one cell of a comparison."""
    comparison, folder = read_comparison(spec), ResultsFolder(work_dir)
    (job,) = (job for job in comparison.choose() if job.key == key)
    return outcome(
        lambda _, path: run_cell(comparison, folder, job, train or train_here),
        key,
        folder.path / key,
    )
