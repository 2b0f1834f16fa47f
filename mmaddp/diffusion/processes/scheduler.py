"""The process that a pipeline of diffusers was trained with, from its scheduler's config."""

from __future__ import annotations

import json
from pathlib import Path

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

from .base import DiffusionProcess
from .ddpm import DDPM
from .flow import FlowMatching

CONFIG = 'scheduler_config.json'
SCHEDULES = {'linear': 'linear', 'scaled_linear': 'scaled_linear', 'squaredcos_cap_v2': 'cosine'}


@TASK_UTILS.register_module()
def scheduler_process(folder: str) -> DiffusionProcess:
    """The noise levels of a pipeline of diffusers.

    Args:
        folder: The pipeline's folder, or that of its scheduler.

    Returns:
        :class:`FlowMatching` for the schedulers of flow matching, else :class:`DDPM` with the
        scheduler's betas.

    Raises:
        UserError: There is no scheduler, or one whose noise is not known.
    """
    # In a pipeline's folder, or alone.
    paths = [Path(folder) / 'scheduler' / CONFIG, Path(folder) / CONFIG]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise UserError(f'{folder}: has no scheduler/{CONFIG}: give the folder of a pipeline')
    config = json.loads(path.read_text())
    steps = config.get('num_train_timesteps', 1000)
    if 'FlowMatch' in config.get('_class_name', ''):
        return FlowMatching(steps, shift=config.get('shift', 1.0), time_scale=float(steps))
    schedule = config.get('beta_schedule', 'linear')
    # Betas that no formula of ours gives.
    unknown = [key for key in ('trained_betas', 'rescale_betas_zero_snr') if config.get(key)]
    if schedule not in SCHEDULES or unknown:
        what = unknown[0] if unknown else f'beta_schedule={schedule!r}'
        raise UserError(f'{path}: {what}: set process=dict(…) with levels of your own')
    return DDPM(
        steps,
        config.get('beta_start', 1e-4),
        config.get('beta_end', 0.02),
        time_input='index',
        schedule=SCHEDULES[schedule],
    )
