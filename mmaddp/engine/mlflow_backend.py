"""MLflow as a backend of visualizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.visualization import MLflowVisBackend as MMEngineMLflowVisBackend
from mmengine.visualization.vis_backend import force_init_env

from mmaddp.registry import VISBACKENDS


@VISBACKENDS.register_module()
class MLflowVisBackend(MMEngineMLflowVisBackend):
    """MMEngine's backend for current versions of MLflow.

    Args:
        *args: See MMEngine's backend.
        **kwargs: See MMEngine's backend. The default of ``tracking_uri`` is MLflow's own
            (``MLFLOW_TRACKING_URI``, or else a database), because MLflow 3 refuses MMEngine's
            default, a folder of files.
    """

    def _init_env(self) -> None:
        import mlflow

        self._tracking_uri = self._tracking_uri or mlflow.get_tracking_uri()
        super()._init_env()

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Log an image (H, W, 3) under its name and step.

        MMEngine logs it as a file called ``name``. MLflow needs an extension there, and the names
        that visualizers give have none.
        """
        self._mlflow.log_image(image, key=name, step=step)
