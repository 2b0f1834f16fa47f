import gc
import os
from pathlib import Path

import hypothesis
import pytest
import unformatted_configs  # noqa: F401
from mmengine.registry import DefaultScope
from scripts import load_script

import mmaddp  # noqa: F401  # before tests import mmcv's operators

REPOSITORY = Path(__file__).resolve().parents[1]

# A busy machine is slow now and then, and no property is about time.
hypothesis.settings.register_profile('project', deadline=None, max_examples=30)
hypothesis.settings.load_profile('project')


def pytest_collection_finish() -> None:
    """Spare the collections of garbage in every dataset's serialization what was imported."""
    gc.freeze()


@pytest.fixture(autouse=True)
def own_default_scope(monkeypatch):
    """No test sees the default scope that another one's runner has set."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


@pytest.fixture(scope='session')
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope='session')
def shared() -> Path:
    """Reference outputs and real images, outside the repository: $MMADDP_SHARED or ../shared."""
    path = Path(os.environ.get('MMADDP_SHARED', REPOSITORY.parent / 'shared'))
    if not path.is_dir():
        pytest.skip(f'reference material and real images are not at {path} (set MMADDP_SHARED)')
    return path


@pytest.fixture(scope='session')
def reference_layout(shared):
    """Load a published file's layout, weights made from names and shapes."""
    module = load_script(shared / 'reference/reference_weights.py')

    def load(name: str, prefix: str = '') -> dict:
        return module.load_layout(shared / f'reference/checkpoints/{name}.json', prefix)

    return load
