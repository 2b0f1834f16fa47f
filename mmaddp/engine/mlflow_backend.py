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
        **kwargs: The same. Without ``tracking_uri``, MLflow's own default counts
            (``MLFLOW_TRACKING_URI``), since MLflow 3 refuses MMEngine's folder of files.
    """

    def _init_env(self) -> None:
        import mlflow

        self._tracking_uri = self._tracking_uri or mlflow.get_tracking_uri()
        super()._init_env()

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        """Log an image (H, W, 3) under its name and step.

        MMEngine logs it as a file, which needs an extension that visualizers do not give.
        """
        self._mlflow.log_image(image, key=name, step=step)
