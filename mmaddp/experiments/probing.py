"""Probes of all layers of an encoder, at all noise levels."""

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
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmaddp.engine.data import make_resumable
from mmaddp.engine.hooks.feature_bank_hook import check_bank
from mmaddp.engine.runs import clear_errors, train
from mmaddp.engine.validation import check_machine, validate
from mmaddp.models.inspection import unwrapped
from mmaddp.models.probing import JOIN, PIXELS, Cell, GridProbe, ProbeHead
from mmaddp.registry import MODELS
from mmaddp.utils import UserError, write_json, write_text
from mmaddp.zoo import located

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
    lrs: Sequence[float] | None = None,
) -> None:
    """Set the encoder and the grid of a probe.

    Args:
        config: A config whose model is :class:`mmaddp.models.GridProbe`; changed in place.
        checkpoint: The encoder's weights, any file that it loads, or 'random'.
        layers: Names of layers; the config's when None.
        levels: Numbers of noise levels; the config's when None.
        lrs: Learning rates; the config's when None.

    Raises:
        UserError: The model is not a probe.
    """
    if not is_probe(config):
        raise UserError(
            f'{config.filename}: model.type is not mmaddp.GridProbe: take a config of configs/cls '
            'with _probe_ in its name'
        )
    set_encoder(config, None if checkpoint == RANDOM else os.path.abspath(located(checkpoint)))
    for key, values in (('layers', layers), ('levels', levels), ('lrs', lrs)):
        if values is not None:
            config.model[key] = list(values)
    if config.model.get('bank'):
        use_bank(config)
    # The final test measures the same images as a validation.
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


def use_bank(config: Config) -> None:
    """Have a probe train on fixed views of the images, whose features its bank can keep."""
    loader = config.train_dataloader
    views = config.model.bank.get('views', 1)
    loader.dataset = dict(type='mmaddp.FixedViews', dataset=loader.dataset, views=views)
    config.custom_hooks = [*(config.get('custom_hooks') or []), dict(type='mmaddp.FeatureBankHook')]


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
    runner = train(config, resume) if is_trained(config) else remember(config)
    with clear_errors(config):
        metrics = runner.test()
    if not is_main_process():
        return None
    model = unwrapped(runner.model)
    results = results_of(model, metrics)
    results.write(config.work_dir)
    return results


def identity_of(config: Config) -> dict[str, Any]:
    """The part of a config that a resumed probe must share.

    A checkpoint holds only heads, and loading it would ignore those of other cells.
    """
    model = config.model.to_dict()
    grid = {
        key: model.pop(key, None) for key in ('encoder', 'checkpoint', 'layers', 'levels', 'lrs')
    }
    if model.get('bank'):
        # The bank may move.
        model['bank'].pop('path')
    return {**grid, 'heads': model}


def is_trained(config: Config) -> bool:
    """Whether gradients train the heads of a probe."""
    return MODELS.get(config.model.head.type).trained


def remember(config: Config) -> Runner:
    """Have heads without training remember the training set, which is read once.

    Returns:
        The runner, ready to test.

    Raises:
        UserError: Config, data or checkpoint do not fit.
    """
    with clear_errors(config):
        validate(config)
        check_machine(config, 'train')
        runner = RUNNERS.build(config)
        model = unwrapped(runner.model)
        loader = config.train_dataloader
        # As a training cuts it, but each image once, whatever its sampler and the processes are.
        loader = make_resumable(loader, runner.base_seed, labels=config.get('labels'))
        loader['sampler'] = dict(type='DefaultSampler', shuffle=False, round_up=False)
        loader['drop_last'] = False
        dataloader = runner.build_dataloader(loader)
        if model.bank is not None:
            check_bank(model, [dataloader.dataset, runner.test_loop.dataloader.dataset])
        model.collect(dataloader)
    return runner


@dataclass(frozen=True)
class ProbeResults:
    """The metrics of a task by layer, noise level and learning rate.

    Attributes:
        task: Title of the task, such as 'linear segmentation'.
        metric: The metric that ranks the cells, such as 'mIoU'.
        rule: Whether a 'greater' or a 'less' value of it is better.
        percent: Whether it is in percent.
        model: Type of the probed model, such as 'DDAE'.
        checkpoint: The encoder's file, or 'random'.
        layers: Names of layers; '+' joins those that are concatenated.
        levels: Noise levels; [None] for clean images.
        lrs: Learning rates; [None] for the optimizer's.
        scores: The metric at the best learning rate, a row per layer and a column per level.
        cells: All metrics of all cells: dicts of ``layer``, ``level``, ``lr`` and the metrics.
        best: The best cell, see :func:`mmaddp.engine.best_cell.apply_best_cell`.
        pixels: The metric of the control on raw pixels, if any.
    """

    task: str
    metric: str
    rule: str
    percent: bool
    model: str
    checkpoint: str
    layers: list[str]
    levels: list[int | None]
    lrs: list[float | None]
    scores: list[list[float]]
    cells: list[dict[str, Any]]
    best: dict[str, Any]
    pixels: float | None = None

    @property
    def has_levels(self) -> bool:
        """Whether images are noised."""
        return self.levels != [None]

    @property
    def label(self) -> str:
        """The metric as tables and figures show it."""
        name = {'accuracy': 'top-1'}.get(self.metric, self.metric)
        return f'{name} (%)' if self.percent else name

    def format(self, value: float) -> str:
        """A value of the metric for a table."""
        return f'{value:.1f}' if self.percent else f'{value:.3f}'

    def write(self, folder: str | Path) -> None:
        """Write the grid as JSON, table and figure, and its best cell."""
        folder = Path(folder)
        write_json(folder / GRID_FILE, asdict(self))
        write_json(folder / BEST_FILE, self.best)
        write_text(folder / TABLE_FILE, self.table() + '\n')
        save_figure(plot_grid(self), folder / PLOT_FILE)

    def table(self) -> str:
        """The grid in Markdown, its best cell in bold."""
        header = [f'level {level}' for level in self.levels] if self.has_levels else [self.label]
        rows = [[layer, *map(self.format, row)] for layer, row in zip(self.layers, self.scores)]
        row, column = self.best_index
        rows[row][1 + column] = f'**{rows[row][1 + column]}**'
        control = '' if self.pixels is None else f'\n\n{self.control}: {self.format(self.pixels)}'
        return f'{markdown_table(["layer", *header], rows)}\n\n{self.summary()}{control}'

    @property
    def control(self) -> str:
        """What the control is."""
        return f'{self.task.split()[0].capitalize()} on raw pixels'

    @property
    def best_index(self) -> tuple[int, int]:
        """Row and column of the best cell."""
        return self.layers.index(self.best['layer']), self.levels.index(self.best['level'])

    def summary(self) -> str:
        """The best cell in one line."""
        level = f' at noise level {self.best["level"]}' if self.has_levels else ''
        time = self.best['settings'].get('time')
        level += '' if time is None else f' (time {time:g})'
        lr = f', learning rate {self.best["lr"]:g}' if self.best['lr'] is not None else ''
        weights = 'random weights' if self.checkpoint == RANDOM else Path(self.checkpoint).name
        name, _, percent = self.label.partition(' (')
        return (
            f'Best of {self.model}, {weights}: {self.best["layer"]}{level}{lr}, '
            f'{self.format(self.best["metrics"][self.metric])}{percent[:-1]} {name}'
        )


def results_of(model: GridProbe, metrics: dict[str, Any]) -> ProbeResults:
    """The metrics of a probe's evaluator as a grid."""
    head = model.task
    metric, rule = next(iter(head.metrics.items()))
    scores = {cell: float(metrics[f'{metric}/{cell}']) for cell in model.cells}
    # Ties go to the first cell.
    choose = max if rule == 'greater' else min
    controls = [scores.pop(cell) for cell in model.cells if cell.layer == PIXELS]
    best = choose(scores, key=scores.get)
    return ProbeResults(
        task=head.title,
        metric=metric,
        rule=rule,
        percent=head.percent,
        model=model.encoder_name,
        checkpoint=model.checkpoint or RANDOM,
        layers=model.layers,
        levels=model.levels,
        lrs=model.lrs,
        scores=[
            [choose(scores[Cell(layer, level, lr)] for lr in model.lrs) for level in model.levels]
            for layer in model.layers
        ],
        cells=[dict(cell._asdict(), **metrics_of(head, cell, metrics)) for cell in model.cells],
        best=best_cell(model, best, metrics_of(head, best, metrics)),
        pixels=choose(controls) if controls else None,
    )


def metrics_of(head: ProbeHead, cell: Cell, metrics: dict[str, Any]) -> dict[str, float]:
    """All metrics of a cell, by name."""
    return {name: float(metrics[f'{name}/{cell}']) for name in head.metrics}


def best_cell(model: GridProbe, cell: Cell, metrics: dict[str, float]) -> dict[str, Any]:
    """A cell with its metrics and the backbone arguments that select it."""
    encoder = model.encoder.encoder_module
    time = model.encoder.time(cell.level)
    # Round float32 noise away, so that 0.011 is written as 0.011.
    time = None if time is None else float(f'{time:.6g}')
    # Of concatenated layers a backbone gives the last, which has seen the others.
    layer = encoder.last_of(cell.layers)
    return dict(
        encoder=f'{MODELS.scope}.{type(encoder).__name__}',
        settings=encoder.layer_settings(layer, time),
        channels=encoder.channels(layer),
        stride=model.strides.get(layer),
        layer=cell.layer,
        level=cell.level,
        lr=cell.lr,
        metrics=metrics,
    )


def plot_grid(results: ProbeResults) -> Figure:
    """The metric over layers and noise levels (figure 2 of DDAE); a line plot for clean images."""
    better = ' (less is better)' if results.rule == 'less' else ''
    title = f'{results.model}: {results.task}, {results.label}{better}'
    if not results.has_levels:
        return plot_layers(results, title)
    return plot_heat_map(
        np.array(results.scores).T,
        list(map(short_label, results.layers)),
        results.levels,
        title=title,
        ylabel='noise level',
        best=results.best_index[::-1],
        form='.1f' if results.percent else '.3f',
    )


def plot_layers(results: ProbeResults, title: str) -> Figure:
    """The metric over layers with the best marked, and of raw pixels as a horizontal line."""
    figure, (axis,) = new_figure(width=2.2 + 0.55 * len(results.layers), height=3.2)
    scores, best = [row[0] for row in results.scores], results.best_index[0]
    axis.plot(scores, marker='o', ms=4)
    axis.plot(best, scores[best], marker='o', ms=9, mfc='none', color='red')
    if results.pixels is not None:
        axis.axhline(results.pixels, ls='--', color='gray', label='raw pixels')
        axis.legend(fontsize='small')
    add_grid(axis)
    labels = list(map(short_label, results.layers))
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha='right')
    axis.set_title(title)
    return figure


def short_label(layer: str) -> str:
    """A layer, or the first and the last of several that are joined."""
    parts = layer.split(JOIN)
    return layer if len(parts) < 3 else f'{parts[0]} … {parts[-1]}'
