"""Settings of the sampler side by side: images of each, their metrics, a table and a plot."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from mmaddp.evaluation.generation import GenerationMetrics, check_number
from mmaddp.experiments.generation_folder import fingerprint, generate_folder
from mmaddp.experiments.generation_table import format_settings, markdown_table, plot_results
from mmaddp.models.pretrainers import ImageGenerator
from mmaddp.utils import UserError, atomic_write

RESULTS, TABLE, PLOT, IMAGES = 'results.json', 'results.md', 'results.png', 'images'


def sampler_grid(model: ImageGenerator, *choices: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A sampler for every combination of settings, each once.

    Args:
        model: What the samplers are for.
        choices: Settings by name, of which each sampler has one from every sequence; the last
            sequence varies fastest.

    Raises:
        UserError: The model cannot generate, or a setting is not its or out of its range.
    """
    combinations = itertools.product(*choices)
    settings = [dict(itertools.chain(*(one.items() for one in each))) for each in combinations]
    return list(dict.fromkeys(model.sampler(**each) for each in settings))


def sampler_name(sampler: Any) -> str:
    """'steps-20_schedule-linear_temperature-6-decaying_top-p-1', its folder of images."""
    settings = asdict(sampler)
    written = format_settings({**settings, 'decaying': False})
    if settings.get('decaying'):
        written['temperature'] += '-decaying'
    return '_'.join(f'{name}-{value}' for name, value in written.items())


def evaluate_samplers(
    model: ImageGenerator,
    samplers: Sequence[Any],
    metrics: GenerationMetrics | None,
    out_dir: str | os.PathLike,
    *,
    num_images: int,
    seed: int = 0,
    batch_size: int = 16,
) -> list[dict]:
    """Generate images with each sampler and measure them.

    A sampler whose metrics are in ``out_dir`` is passed over, and images that are there are not
    generated again. Table and plot are written after each sampler. Of several processes each
    generates a share of the images, and the first one measures them.

    Args:
        model: What :func:`mmaddp.apis.load_pretrainer` gives.
        samplers: What :func:`sampler_grid` gives.
        metrics: What measures the images; looked at in the first process only.
        out_dir: Gets ``images/NAME/`` for each sampler, ``results.json``, ``results.md`` and
            ``results.png``.
        num_images: Images of each sampler.
        seed: Seed of all images.
        batch_size: Images that are generated at once, in each process.

    Returns:
        The metrics of every sampler in ``out_dir`` as :class:`GenerationMetrics` gives them, each
        with ``settings`` and ``folder``; nothing in processes other than the first.

    Raises:
        UserError: ``out_dir`` has results of another model, seed, number of images or reference;
            there are more steps than tokens; or images and reference differ in size.
    """
    for sampler in samplers:
        model.check_start(sampler, model.blank().masked)
        if not fields(sampler):
            raise UserError(
                f'{type(sampler).__name__}: nothing is random, all images would be the same; take '
                'a model that was trained by diffusion'
            )
    check_number('--num-images', num_images, num_images)
    results = None
    if is_main_process():
        metrics.check_size((model.side,) * 2, 'the model')
        results = SamplerResults(out_dir, metrics, model, num_images, seed)
    known = [set(results.rows) if results else None]
    broadcast_object_list(known)
    for number, sampler in enumerate(samplers, start=1):
        name = sampler_name(sampler)
        if name not in known[0]:
            folder = Path(out_dir, IMAGES, name)
            generate_folder(model, sampler, folder, num_images, seed, batch_size)
            if results:
                results.add(sampler, folder)
        if results:
            print(f'[{number}/{len(samplers)}] {name}: {results.brief(name)}', flush=True)
    return list(results.rows.values()) if results else []


class SamplerResults:
    """Metrics of samplers in a folder, in files that are whole at any moment.

    Args:
        out_dir: The folder; results in it are continued.
        metrics: What measures images.
        model: What generates them.
        num_images: Images of each sampler.
        seed: Seed of all images.

    Attributes:
        rows: For each name of a sampler its metrics, with ``settings`` and ``folder``.

    Raises:
        UserError: The folder has results of another run, or a file that is none of results.
    """

    def __init__(
        self,
        out_dir: str | os.PathLike,
        metrics: GenerationMetrics,
        model: ImageGenerator,
        num_images: int,
        seed: int,
    ) -> None:
        self.out_dir, self.metrics = Path(out_dir), metrics
        self.run = {
            **fingerprint(model),
            'seed': seed,
            'num_images': num_images,
            'reference': metrics.reference.file.name,
            'networks': metrics.networks.name,
        }
        path = self.out_dir / RESULTS
        self.rows: dict[str, dict] = self._read(path) if path.exists() else {}

    def add(self, sampler: Any, folder: Path) -> None:
        """Measure a sampler's images, and write results, table and plot anew."""
        figures = self.metrics(folder, self.run['num_images'])
        self.rows[sampler_name(sampler)] = {
            'settings': asdict(sampler),
            **figures,
            'folder': str(folder),
        }
        content = {'run': self.run, 'samplers': self.rows}
        rows = list(self.rows.values())
        plot_results(rows, self.out_dir / PLOT)
        with atomic_write(self.out_dir / TABLE) as temporary:
            temporary.write_text(markdown_table(rows) + '\n')
        # Last, as it is what the next run goes by.
        with atomic_write(self.out_dir / RESULTS) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + '\n')

    def brief(self, name: str) -> str:
        """The two figures that tell most."""
        return f'FID {self.rows[name]["fid"]:.2f}, IS {self.rows[name]["inception_score"]:.2f}'

    def _read(self, path: Path) -> dict[str, dict]:
        try:
            content = json.loads(path.read_text())
            run, rows = content['run'], content['samplers']
            differing = [key for key in self.run if run[key] != self.run[key]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{path}: not a results file of this tool; give another --out-dir'
            ) from error
        if differing:
            raise UserError(
                f'{path}: holds results of another {" and ".join(differing)}; '
                f'give another --out-dir'
            )
        return rows
