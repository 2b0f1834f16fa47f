"""Linear probes of all layers of an encoder, at all noise levels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper

from mmaddp.engine.runs import clear_errors, train
from mmaddp.models.probing import PIXELS, Cell, GridProbe
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, write_json, write_text

from .figures import add_grid, new_figure, plot_heat_map, save_figure
from .results import ResultsFolder, markdown_table

RANDOM = 'random'
GRID_FILE, TABLE_FILE, PLOT_FILE = 'grid.json', 'grid.md', 'grid.png'
BEST_FILE = 'best_cell.json'


def prepare_probe(
    config: Config,
    checkpoint: str,
    layers: Sequence[str] | None = None,
    levels: Sequence[int] | None = None,
) -> None:
    """Set the encoder and the grid of a probe.

    Args:
        config: A config whose model is :class:`mmaddp.models.GridProbe`; changed in place.
        checkpoint: The encoder's weights, any file that it loads, or 'random'.
        layers: Names of layers; the config's when None.
        levels: Numbers of noise levels; the config's when None.

    Raises:
        UserError: The model is not a probe.
    """
    if not is_probe(config):
        raise UserError(
            f'{config.filename}: model.type is not mmaddp.GridProbe: take a config of configs/cls '
            'with _probe_ in its name'
        )
    set_encoder(config, None if checkpoint == RANDOM else os.path.abspath(checkpoint))
    for key, values in (('layers', layers), ('levels', levels)):
        if values is not None:
            config.model[key] = list(values)
    # The final test measures the same images as a validation.
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


def set_encoder(config: Config, checkpoint: str | None) -> None:
    """Start a probe or a transfer config from an encoder's checkpoint; from scratch if None."""
    if is_probe(config):
        # The checkpoint replaces the one in the backbone's config.
        config.model.encoder.pop('init_cfg', None)
        config.model.checkpoint = checkpoint
    else:
        weights = {'type': 'Pretrained', 'checkpoint': checkpoint}
        config.model.backbone.init_cfg = weights if checkpoint else None


def is_probe(config: Config) -> bool:
    """Whether the model of a config is :class:`mmaddp.models.GridProbe`."""
    return (config.get('model') or {}).get('type') == 'mmaddp.GridProbe'


def probe(config: Config, resume: str | None = None) -> ProbeResults | None:
    """Train and test all heads of a grid, and write the results to the work folder.

    Args:
        config: A config after :func:`mmaddp.engine.runs.prepare_run` and :func:`prepare_probe`.
        resume: See :func:`mmaddp.engine.runs.train`.

    Returns:
        The results, in the main process.

    Raises:
        UserError: Config, data or checkpoint do not fit, or the probe to resume has another grid
            or encoder.
    """
    # Refuses a folder of another grid before anything is trained.
    ResultsFolder(config.work_dir, identity_of(config), fresh=resume is None)
    runner = train(config, resume)
    with clear_errors(config):
        metrics = runner.test()
    if not is_main_process():
        return None
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    results = results_of(model, metrics)
    results.write(config.work_dir)
    return results


def identity_of(config: Config) -> dict[str, Any]:
    """The part of a config that a resumed probe must share.

    A checkpoint holds only heads, and loading it would ignore those of other cells.
    """
    model = config.model.to_dict()
    grid = {key: model.pop(key, None) for key in ('encoder', 'checkpoint', 'layers', 'levels')}
    return {**grid, 'heads': model}


@dataclass(frozen=True)
class ProbeResults:
    """Accuracy by layer and noise level.

    Attributes:
        model: Type of the probed model, such as 'DDAE'.
        checkpoint: The encoder's file, or 'random'.
        layers: Names of layers.
        levels: Noise levels; [None] for clean images.
        accuracy: Top-1 in percent, a row per layer.
        best: The best cell, see :func:`mmaddp.engine.best_cell.apply_best_cell`.
        pixels: Accuracy of the control on raw pixels, if any.
    """

    model: str
    checkpoint: str
    layers: list[str]
    levels: list[int | None]
    accuracy: list[list[float]]
    best: dict[str, Any]
    pixels: float | None = None

    @property
    def has_levels(self) -> bool:
        """Whether images are noised."""
        return self.levels != [None]

    def write(self, folder: str | Path) -> None:
        """Write the grid as JSON, table and figure, and its best cell."""
        folder = Path(folder)
        write_json(folder / GRID_FILE, asdict(self))
        write_json(folder / BEST_FILE, self.best)
        write_text(folder / TABLE_FILE, self.table() + '\n')
        save_figure(plot_grid(self), folder / PLOT_FILE)

    def table(self) -> str:
        """The grid in Markdown, its best cell in bold."""
        header = [f'level {level}' for level in self.levels] if self.has_levels else ['top-1 (%)']
        percents = [[f'{value:.1f}' for value in row] for row in self.accuracy]
        rows = [[layer, *row] for layer, row in zip(self.layers, percents)]
        row, column = self.best_index
        rows[row][1 + column] = f'**{rows[row][1 + column]}**'
        control = '' if self.pixels is None else f'\n\nLinear on raw pixels: {self.pixels:.1f}'
        return f'{markdown_table(["layer", *header], rows)}\n\n{self.summary()}{control}'

    @property
    def best_index(self) -> tuple[int, int]:
        """Row and column of the best cell."""
        return self.layers.index(self.best['layer']), self.levels.index(self.best['level'])

    def summary(self) -> str:
        """The best cell in one line."""
        level = f' at noise level {self.best["level"]}' if self.has_levels else ''
        time = self.best['settings'].get('time')
        level += '' if time is None else f' (time {time:g})'
        weights = 'random weights' if self.checkpoint == RANDOM else Path(self.checkpoint).name
        return (
            f'Best of {self.model}, {weights}: {self.best["layer"]}{level}, '
            f'{self.best["accuracy"]:.1f}% top-1'
        )


def results_of(model: GridProbe, metrics: dict[str, Any]) -> ProbeResults:
    """The metrics of :class:`mmaddp.evaluation.NamedAccuracy` as a grid."""
    accuracy = {cell: float(metrics[f'accuracy/{cell}']) for cell in model.cells}
    pixels = accuracy.pop(Cell(PIXELS, None), None)
    # Ties go to the first cell.
    best = max(accuracy, key=accuracy.get)
    return ProbeResults(
        model=model.encoder_name,
        checkpoint=model.checkpoint or RANDOM,
        layers=model.layers,
        levels=model.levels,
        accuracy=[
            [accuracy[Cell(layer, level)] for level in model.levels] for layer in model.layers
        ],
        best=best_cell(model, best, accuracy[best]),
        pixels=pixels,
    )


def best_cell(model: GridProbe, cell: Cell, accuracy: float) -> dict[str, Any]:
    """A cell with the backbone arguments that select it."""
    encoder = model.encoder.encoder_module
    time = model.encoder.time(cell.level)
    # Round float32 noise away, so that 0.011 is written as 0.011.
    time = None if time is None else float(f'{time:.6g}')
    return dict(
        encoder=f'{MODELS.scope}.{type(encoder).__name__}',
        settings=encoder.layer_settings(cell.layer, time),
        channels=encoder.channels(cell.layer),
        layer=cell.layer,
        level=cell.level,
        accuracy=accuracy,
    )


def plot_grid(results: ProbeResults) -> Figure:
    """Accuracy over layers and noise levels (figure 2 of DDAE); a line plot for clean images."""
    title = f'{results.model}: linear top-1 (%)'
    if not results.has_levels:
        return plot_layers(results, title)
    return plot_heat_map(
        np.array(results.accuracy).T,
        results.layers,
        results.levels,
        title=title,
        ylabel='noise level',
        best=results.best_index[::-1],
    )


def plot_layers(results: ProbeResults, title: str) -> Figure:
    """Accuracy over layers with the best marked, and of raw pixels as a horizontal line."""
    figure, (axis,) = new_figure(width=2.2 + 0.55 * len(results.layers), height=3.2)
    scores, best = [row[0] for row in results.accuracy], results.best_index[0]
    axis.plot(scores, marker='o', ms=4)
    axis.plot(best, scores[best], marker='o', ms=9, mfc='none', color='red')
    if results.pixels is not None:
        axis.axhline(results.pixels, ls='--', color='gray', label='raw pixels')
        axis.legend(fontsize='small')
    add_grid(axis)
    axis.set_xticks(range(len(results.layers)), results.layers, rotation=45, ha='right')
    axis.set_title(title)
    return figure
