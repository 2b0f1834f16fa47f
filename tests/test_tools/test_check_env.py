import os
import subprocess
import sys


def check(repository, *paths):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths))}
    command = [sys.executable, repository / 'tools/check_env.py']
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_whole_environment_prints_its_versions(repository):
    done = check(repository)
    assert done.returncode == 0, done.stderr
    assert 'mmcv 2' in done.stdout


def test_mmcv_without_operators_is_one_line_with_the_remedy(repository, tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text("__version__ = '2.1.0'")
    done = check(repository, tmp_path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('error:')]
    assert 'has no compiled operators' in line
    assert 'pip install --no-build-isolation' in line
