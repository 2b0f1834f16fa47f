"""Linear probes of all layers at all noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmaddp.engine.runs import open_run
from mmaddp.experiments import probing


def probe(
    config: str | Path | Config,
    checkpoint: str | Path,
    layers: Sequence[str] | None = None,
    levels: Sequence[int] | None = None,
    lrs: Sequence[float] | None = None,
    work_dir: str | Path | None = None,
    resume: str | None = None,
) -> probing.ProbeResults | None:
    """Train and test a linear classifier for each layer of an encoder at each noise level.

    Args:
        config: A config of ``configs/cls`` with ``_probe_`` or ``_linear-all-depths_`` in its name,
            or its path.
        checkpoint: The encoder's weights, any file that it loads, or 'random'.
        layers: Names of layers; the config's when None.
        levels: Noise levels, from 1; the config's when None.
        lrs: Learning rates, of which each cell takes the best; the config's when None.
        work_dir: Gets the grid as JSON, table and figure, and the best cell; see
            :func:`mmaddp.apis.train`.
        resume: See :func:`mmaddp.apis.train`.

    Returns:
        The results, in the main process.

    Raises:
        UserError: Config, data or checkpoint do not fit, or the probe to resume has another grid
            or encoder.
    """
    config = open_run(config, work_dir)
    probing.prepare_probe(config, str(checkpoint), layers, levels, lrs)
    return probing.probe(config, resume)
