from datetime import timedelta

import pytest

from mmaddp.engine.runner import launch


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_processes_of_a_tool_wait_for_hours(device, monkeypatch):
    """The main process measures 50,000 images alone."""
    given = {}
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '0')
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    monkeypatch.setattr(launch, 'init_dist', lambda launcher, **options: given.update(options))
    monkeypatch.setattr(
        launch.torch_dist, 'init_process_group', lambda **options: given.update(options)
    )
    launch.join_processes('pytorch')
    hours = timedelta(hours=6)
    # MMEngine takes seconds, torch a timedelta.
    assert given['timeout'] >= (hours if device == 'cpu' else hours.total_seconds())
