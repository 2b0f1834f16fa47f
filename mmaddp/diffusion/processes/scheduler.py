"""The process that a pipeline of diffusers was trained with, from its scheduler's config."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from mmaddp.registry import TASK_UTILS
from mmaddp.utils import UserError

from ..gaussian import perturb
from .base import DiffusionProcess, Level, Network
from .ddpm import DDPM
from .flow import FlowMatching

CONFIG = 'scheduler_config.json'
SCHEDULES = {'linear': 'linear', 'scaled_linear': 'scaled_linear', 'squaredcos_cap_v2': 'cosine'}
PREDICTIONS = ('epsilon', 'v_prediction', 'sample')


@dataclass(frozen=True)
class SchedulerDDPM(DDPM):
    """DDPM whose network predicts something else than the noise.

    Args:
        prediction: 'v_prediction' for v = alpha_t epsilon - sigma_t x_0 (Salimans and Ho, 2022), or
            'sample' for x_0, as the library calls them.
    """

    prediction: str = 'v_prediction'

    @property
    def identity(self) -> dict[str, Any]:
        """DDPM's: a backbone has the same inputs, whatever its network predicts."""
        return DDPM(**{one.name: getattr(self, one.name) for one in fields(DDPM)}).identity

    def denoise(self, network: Network, x_t: Tensor, level: Level) -> Tensor:
        """D(x_t, t) = alpha_t x_t - sigma_t v(x_t, t), or the prediction itself."""
        predicted = self.predict(network, x_t, level)
        if self.prediction == 'sample':
            return predicted
        return perturb(x_t, self.alpha_bar(level, x_t), -predicted)

    def loss(self, network: Network, x_0: Tensor, level: Level, noise: Tensor) -> Tensor:
        """The squared error of v or x_0, the mean over all values."""
        velocity = perturb(noise, self.alpha_bar(level, x_0), -x_0)
        target = x_0 if self.prediction == 'sample' else velocity
        return F.mse_loss(self.predict(network, self.perturb(x_0, level, noise), level), target)


@TASK_UTILS.register_module()
def scheduler_process(folder: str) -> DiffusionProcess:
    """The noise levels of a pipeline of diffusers.

    Args:
        folder: The pipeline's folder, or that of its scheduler.

    Returns:
        :class:`FlowMatching` for the schedulers of flow matching, else :class:`DDPM` with the
        scheduler's betas, for a network that predicts what the scheduler says.

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
    unknown += [] if schedule in SCHEDULES else [f'beta_schedule={schedule!r}']
    prediction = config.get('prediction_type', 'epsilon')
    unknown += [] if prediction in PREDICTIONS else [f'prediction_type={prediction!r}']
    if unknown:
        raise UserError(f'{path}: {unknown[0]}: set process=dict(…) with levels of your own')
    settings = dict(
        num_timesteps=steps,
        beta_start=config.get('beta_start', 1e-4),
        beta_end=config.get('beta_end', 0.02),
        time_input='index',
        schedule=SCHEDULES[schedule],
    )
    if prediction == 'epsilon':
        return DDPM(**settings)
    return SchedulerDDPM(**settings, prediction=prediction)
