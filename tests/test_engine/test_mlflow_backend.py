"""Images and scalars reach MLflow under the names that visualizers give them."""

import sys
from types import ModuleType

import numpy as np
import pytest
from mmengine.registry import VISBACKENDS
from mmengine.visualization import Visualizer

IMAGE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def calls(monkeypatch):
    """What MLflow is told, in order. Its own default is a database."""
    calls = []
    module = ModuleType('mlflow')
    for name in ('set_tracking_uri', 'create_experiment', 'set_experiment', 'log_metric'):
        setattr(module, name, lambda *args, name=name, **_: calls.append((name, *args)))
    module.log_image = lambda image, file=None, key=None, step=None: calls.append(
        ('log_image', image.shape, file, key, step)
    )
    module.get_experiment_by_name = lambda name: None
    module.get_tracking_uri = lambda: 'sqlite:///mlflow.db'
    monkeypatch.setitem(sys.modules, 'mlflow', module)
    return calls


def log_with(tmp_path, **settings):
    backend = dict(type='mmaddp.MLflowVisBackend', **settings)
    visualizer = Visualizer(vis_backends=[backend], save_dir=str(tmp_path))
    visualizer.add_image('samples', IMAGE, 5)
    visualizer.add_scalar('loss', 0.5, 5)


def test_images_have_their_name_and_step(calls, tmp_path):
    log_with(tmp_path)
    assert ('log_image', (4, 4, 3), None, 'samples', 5) in calls
    assert ('log_metric', 'loss', 0.5, 5) in calls


@pytest.mark.parametrize(
    ('settings', 'uri'),
    [({}, 'sqlite:///mlflow.db'), ({'tracking_uri': 'http://server'}, 'http://server')],
)
def test_logs_go_to_the_configs_server_or_to_mlflows_default(calls, tmp_path, settings, uri):
    log_with(tmp_path, **settings)
    assert calls[0] == ('set_tracking_uri', uri)


def test_mmengines_own_backend_keeps_its_name():
    assert VISBACKENDS.get('MLflowVisBackend').__module__.startswith('mmengine.')
