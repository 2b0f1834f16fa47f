"""A probe from a config and an encoder's checkpoint to its table."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper

from mmaddp.engine.explain import clear_errors
from mmaddp.engine.runs import train
from mmaddp.models.probing import PIXELS, GridProbe
from mmaddp.utils import UserError, atomic_write

from .probe_results import ProbeResults

RANDOM = 'random'
IDENTITY_FILE = 'probe.json'


def prepare_probe(
    config: Config,
    checkpoint: str,
    layers: Sequence[str] | None = None,
    levels: Sequence[int] | None = None,
) -> None:
    """Set what is probed.

    Args:
        config: A config whose model is :class:`mmaddp.models.GridProbe`; changed in place.
        checkpoint: The encoder's weights, any file that it takes, or 'random' for none.
        layers: Names; the config's when None.
        levels: Numbers; the config's when None.

    Raises:
        UserError: The config is none of a probe, or there is no such file.
    """
    check_probe(config)
    if checkpoint != RANDOM and not Path(checkpoint).exists():
        raise UserError(
            f"{checkpoint} does not exist: give the encoder's checkpoint, or '{RANDOM}' for random "
            'weights'
        )
    model = config.model
    model.checkpoint = None if checkpoint == RANDOM else os.path.abspath(checkpoint)
    for key, values in (('layers', layers), ('levels', levels)):
        if values is not None:
            model[key] = list(values)
    # The test that follows the training measures the same images as its last validation would.
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


def check_probe(config: Config) -> None:
    """Refuse a config of anything but a probe.

    Raises:
        UserError: Names the file and its model.
    """
    kind = (config.get('model') or {}).get('type')
    if kind != 'mmaddp.GridProbe':
        raise UserError(
            f"{config.filename}: model.type={kind} is no 'mmaddp.GridProbe': take a config with "
            '_probe in its name, of configs/cls/addp, darl or ddae'
        )


def probe(config: Config, resume: str | None = None) -> ProbeResults | None:
    """Train all heads of a grid, measure them, and write the results into the work folder.

    Args:
        config: The whole config; see :func:`prepare_probe` and
            :func:`mmaddp.engine.setup.prepare_run`.
        resume: As :func:`mmaddp.engine.runs.train` takes it.

    Returns:
        The results, in the main process.

    Raises:
        UserError: Whatever is wrong with config, data or checkpoint; or the work folder holds a
            probe of another grid or encoder, which cannot be resumed.
    """
    check_identity(config, resume)
    runner = train(config, resume)
    with clear_errors(config):
        metrics = runner.test()
    if not is_main_process():
        return None
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    results = results_of(model, metrics)
    results.write(config.work_dir)
    return results


def check_identity(config: Config, resume: str | None) -> None:
    """Write down what is probed, or check before it goes on that it is the same.

    The heads of another grid would have other shapes, which a checkpoint's reader passes over.

    Raises:
        UserError: Names what differs.
    """
    path = Path(config.work_dir) / IDENTITY_FILE
    identity = json.loads(json.dumps(config.model.to_dict()))
    if resume is not None and path.is_file():
        known = json.loads(path.read_text())
        differing = [key for key in {**known, **identity} if known.get(key) != identity.get(key)]
        if differing:
            raise UserError(
                f'{config.work_dir} holds a probe with another {", ".join(differing)}: give '
                'another --work-dir, or leave --resume out'
            )
    elif int(os.environ.get('RANK', 0)) == 0:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(identity, indent=2) + '\n')


def results_of(model: GridProbe, metrics: dict[str, Any]) -> ProbeResults:
    """What :class:`mmaddp.evaluation.NamedAccuracy` has measured, as a grid."""
    accuracy = {str(cell): float(metrics[f'accuracy/{cell}']) for cell in model.cells}
    encoder = model.encoder
    return ProbeResults(
        method=encoder.method,
        checkpoint=model.checkpoint or RANDOM,
        layers=model.layers,
        levels=model.levels,
        times=[None if level is None else encoder.time(level) for level in model.levels],
        channels=[encoder.channels(layer) for layer in model.layers],
        out_indices=[encoder.layers.index(layer) for layer in model.layers],
        accuracy=[
            [accuracy[str(cell)] for cell in model.cells if cell.layer == layer]
            for layer in model.layers
        ],
        pixels=accuracy.get(PIXELS),
    )
