"""requirements.txt pins all that pyproject.toml asks for, and what that needs."""

import sys

import pytest
from scripts import load_script

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason='tomllib is new in 3.11')


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/lock_requirements.py')


def test_the_lock_holds_what_is_asked_for_once(tool, repository):
    lines = (repository / 'requirements.txt').read_text().splitlines()
    pins = [line.split('==')[0] for line in lines if line and not line.startswith('#')]
    names = [tool.normal(name) for name in pins]
    assert len(names) == len(set(names))
    sections = dict(tool.asked_for(repository / 'pyproject.toml'))
    assert {tool.normal(name) for some in sections.values() for name in some} <= set(names)


def test_needs_are_followed_and_extras_are_not(tool):
    needed = tool.needed_by(['pytest'])
    assert {'iniconfig', 'pluggy'} <= set(needed)
    assert 'hypothesis' not in needed  # of pytest's extra "dev"


def test_what_torch_pins_itself_is_left_out(tool):
    needed = tool.needed_by(['torch'])
    assert 'sympy' in needed
    assert not [name for name in needed if name.startswith(('nvidia', 'triton'))]
