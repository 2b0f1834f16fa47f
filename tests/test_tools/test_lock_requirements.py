"""requirements.txt is generated: what pyproject.toml asks for, and what that needs."""

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
from scripts import load_script

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason='tomllib is new in 3.11')


@pytest.fixture(scope='module')
def tool(repository):
    return load_script(repository / 'tools/lock_requirements.py')


def test_the_file_is_what_the_tool_writes(tool, repository):
    written = (repository / 'requirements.txt').read_text()
    pins = [line.split('==') for line in written.splitlines() if line and line[0] != '#']
    if any(installed(name).partition('+')[0] != pinned for name, pinned in pins):
        pytest.skip('this environment has other versions')
    assert tool.lock(repository / 'pyproject.toml') == written


def installed(name):
    """A version; empty if the distribution is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ''


def test_needs_are_followed_and_extras_are_not(tool):
    needed = tool.needed_by(['pytest'])
    assert {'iniconfig', 'pluggy'} <= set(needed)
    assert 'hypothesis' not in needed  # of pytest's extra "dev"


def test_what_torch_pins_itself_is_left_out(tool):
    needed = tool.needed_by(['torch'])
    assert 'sympy' in needed
    assert not [name for name in needed if name.startswith(('nvidia', 'triton'))]


def test_pre_commit_runs_the_ruff_of_ci(repository):
    lines = (repository / 'requirements.txt').read_text().splitlines()
    (pinned,) = [line.removeprefix('ruff==') for line in lines if line.startswith('ruff==')]
    assert f'rev: v{pinned}\n' in (repository / '.pre-commit-config.yaml').read_text()
