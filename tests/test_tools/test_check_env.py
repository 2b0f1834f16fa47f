import os
import subprocess
import sys

BROKEN_EXTENSION = """
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder

class BrokenLoader(Loader):
    def exec_module(self, module):
        raise ImportError('undefined symbol')

def find_spec(name, *args, find=PathFinder.find_spec):
    return ModuleSpec(name, BrokenLoader()) if name == 'mmcv._ext' else find(name, *args)

PathFinder.find_spec = find_spec
"""


def check(repository, *paths):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths))}
    command = [sys.executable, repository / 'tools/check_env.py']
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_whole_environment_prints_its_versions(repository):
    done = check(repository)
    assert done.returncode == 0, done.stderr
    assert 'mmcv 2' in done.stdout
    assert done.stdout.splitlines()[-1] in ('operators: compiled', 'operators: of torchvision')


def test_operators_that_cannot_be_loaded_are_one_line_with_the_remedy(repository, tmp_path):
    # Each mmcv has an extension here that fails to load, as one compiled for another torch does.
    (tmp_path / 'sitecustomize.py').write_text(BROKEN_EXTENSION)
    done = check(repository, tmp_path, repository)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    assert 'mmcv 2' in line
    assert "'s operators fail on cpu (ImportError: undefined symbol)" in line
    assert 'reinstall it without them: pip uninstall' in line


def test_two_distributions_of_one_module_are_refused(repository, tmp_path):
    for name in ('mmcv', 'onedl-mmcv'):
        folder = tmp_path / f'{name.replace("-", "_")}-2.1.0.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 2.1.0\n')
    done = check(repository, tmp_path)
    assert done.returncode == 1
    assert 'error: mmcv 2.1.0 and onedl-mmcv 2.1.0 are the same modules' in done.stderr
    assert 'pip uninstall -y mmcv onedl-mmcv' in done.stderr
