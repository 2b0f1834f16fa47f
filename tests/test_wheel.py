"""The wheel: what it holds, and a training from it in a folder that knows no repository."""

import os
import shutil
import subprocess
import sys

import pytest
from tiny_runs import write_images

CONFIG = 'configs/pretrain/ddae/ddae-ddpm_unet-toy_1xb64-3000i_image-folder-64px.py'
SHORT = (
    *('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0'),
    *('train_dataloader.persistent_workers=False', 'train_cfg.max_iters=1', 'custom_hooks=[]'),
)


@pytest.fixture(scope='module')
def installed(repository, tmp_path_factory):
    """The folder of an installation from a wheel."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in ('mmaddp', 'configs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(repository / name, folder / 'source' / name, ignore=ignored)
    for name in ('pyproject.toml', 'setup.py', 'README.md', 'MANIFEST.in', 'model-index.yml'):
        shutil.copy(repository / name, folder / 'source')
    pip = [sys.executable, '-m', 'pip', '--no-input', '--disable-pip-version-check']
    build = [*pip, 'wheel', '--no-deps', '--no-build-isolation', '-q', '-w', folder, '.']
    subprocess.run(build, cwd=folder / 'source', check=True, capture_output=True)
    (wheel,) = folder.glob('*.whl')
    install = [
        *pip,
        'install',
        '--no-deps',
        '--no-index',
        '--no-compile',
        '-q',
        '--target',
        folder / 'site',
    ]
    subprocess.run([*install, wheel], check=True, capture_output=True)
    return folder / 'site'


@pytest.mark.slow
def test_it_holds_what_openmim_looks_for(installed, repository):
    for name in ('configs', 'tools'):
        ours, theirs = (
            {path.relative_to(root) for path in (root / name).rglob('*') if path.is_file()}
            for root in (repository, installed / 'mmaddp/.mim')
        )
        assert theirs == {path for path in ours if '__pycache__' not in path.parts}
    assert (installed / 'mmaddp/.mim/model-index.yml').is_file()


@pytest.mark.slow
def test_a_config_trains_from_it(installed, tmp_path):
    images = write_images(tmp_path / 'images', size=64)
    environment = {**os.environ, 'PYTHONPATH': str(installed), 'IMAGE_DIR': str(images)}
    command = [installed / 'bin/mmaddp', 'pretrain', CONFIG, '--work-dir', tmp_path / 'run']
    done = subprocess.run(
        [sys.executable, *map(str, command), '--cfg-options', *SHORT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / 'run/last_checkpoint').is_file()
