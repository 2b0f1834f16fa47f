from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
from mmengine.config import Config

from mmaddp.engine import runs

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = [
    str(path.relative_to(CONFIGS).with_suffix('')) for path in sorted(CONFIGS.glob('[!_]*/*/*.py'))
]


@pytest.fixture(scope='session')
def load_config():
    """A config by its path under ``configs/``, without ``.py``; as the first call found it."""

    @functools.cache
    def read(name: str) -> Config:
        return Config.fromfile(CONFIGS / f'{name}.py')

    return lambda name: copy.deepcopy(read(name))


@pytest.fixture(scope='session', params=NAMES)
def config(request, load_config) -> Config:
    """Every config in turn; not to be changed."""
    return load_config(request.param)


@pytest.fixture(scope='session')
def load_variant():
    """A variant of a file of ``configs/grids``, whose config ``CONFIG`` may name; read once."""

    @functools.cache
    def read(grid: str, variant: str, name: str | None) -> Config:
        with pytest.MonkeyPatch.context() as patch:
            if name is not None:
                patch.setenv('CONFIG', name)
            return runs.load_config(CONFIGS / 'grids' / f'{grid}.py', variant=variant)

    return lambda grid, variant, name=None: copy.deepcopy(read(grid, variant, name))


def has_backbone(name: str) -> bool:
    """Whether a config trains one: pre-trainings have parts of their own, probes an encoder."""
    others = ('pretrain/', '_probe_', 'linear-all-depths', '_noise-conditional')
    return not any(part in name for part in others)


@pytest.fixture(scope='session', params=[name for name in NAMES if has_backbone(name)])
def transfer_config(request, load_config) -> Config:
    """Every config that has a backbone, labels and an evaluation; not to be changed."""
    return load_config(request.param)
