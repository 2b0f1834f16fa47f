"""The plugin is found as an installed package would be."""

import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent


@pytest.fixture(autouse=True, scope='session')
def on_path():
    sys.path.insert(0, str(PLUGIN))
    yield PLUGIN
    sys.path.remove(str(PLUGIN))
