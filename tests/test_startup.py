"""What each command imports: PyTorch's two seconds and OpenMMLab's ten only where they are used."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
import torch
from tiny_runs import classifier, write_images

import mmaddp
from mmaddp import registry
from mmaddp.checkpoints import TARGETS
from mmaddp.registry import LazyRegistry

REPOSITORY = Path(__file__).parents[1]
TOOLS = sorted(path.relative_to(REPOSITORY) for path in (REPOSITORY / 'tools').rglob('*.py'))
HEAVY = ('torch', 'torchvision', 'timm', 'matplotlib.pyplot')
TASK_LIBRARIES = ('mmdet', 'mmseg', 'mmpretrain')
# Runs a script in a process that prints what it imported of some modules.
PROGRAM = """
import atexit, os, runpy, sys
names, script, *words = sys.argv[1:]
atexit.register(lambda: print('imported:', *[n for n in names.split(',') if n in sys.modules]))
sys.argv, sys.path[0] = [script, *words], os.path.dirname(script)
runpy.run_path(script, run_name='__main__')
"""


def imported_by(names, script, *words, **environment):
    """Which of some modules a script has imported at its end, and what it printed."""
    command = [sys.executable, '-c', PROGRAM, ','.join(names), REPOSITORY / script, *words]
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY), **environment}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.rsplit('imported:', 1)[1].split(), done.stdout + done.stderr


@pytest.mark.parametrize('tool', [t for t in TOOLS if t.name != 'dist_run.py'], ids=str)
def test_help_comes_without_torch(tool):
    assert imported_by(HEAVY, tool, '--help')[0] == []


def test_help_lists_what_a_checkpoint_can_become():
    printed = imported_by((), 'tools/model_converters/convert_checkpoint.py', '--help')[1]
    assert all(target in printed for target in TARGETS)


def test_the_package_imports_nothing_heavy():
    program = 'import sys, mmaddp, mmaddp.apis, mmaddp.registry; print(*sys.modules)'
    printed = subprocess.check_output([sys.executable, '-c', program], cwd=REPOSITORY, text=True)
    assert not {*HEAVY, *TASK_LIBRARIES, 'mmcv'} & set(printed.split())


def test_conversion_needs_none_of_the_task_libraries(tmp_path):
    from mmaddp.models import ADDPViT

    encoder = ADDPViT(arch=dict(embed_dims=32, num_layers=2, num_heads=2), img_size=32)
    torch.save(encoder.state_dict(), tmp_path / 'encoder.pth')
    words = 'tools/model_converters/convert_checkpoint.py', tmp_path / 'encoder.pth'
    assert imported_by((*TASK_LIBRARIES, 'mmcv'), *words, tmp_path / 'backbone.pth')[0] == []


def test_a_classifier_needs_neither_mmdet_nor_mmseg(tmp_path):
    """MMPretrain imports MMDetection's models where it is installed; our code does not."""
    config = classifier(write_images(tmp_path / 'images'), tmp_path / 'run', by_epoch=False)
    config.train_cfg.max_iters, config.custom_hooks = 1, []
    config.dump(tmp_path / 'config.py')
    names = ('mmdet.datasets', 'mmdet.evaluation', 'mmseg', 'mmengine')
    imported, printed = imported_by(names, 'tools/train.py', tmp_path / 'config.py')
    assert imported == ['mmengine']
    assert 'OneDL' not in printed


def test_mmengine_is_enough_to_pretrain_probe_and_generate(tmp_path):
    imported_by((), 'tests/without_openmmlab.py', tmp_path)
    assert (tmp_path / 'backbone.pth').is_file()


def registries():
    return [one for one in vars(registry).values() if isinstance(one, LazyRegistry)]


@pytest.fixture(scope='module')
def everything():
    for module in walk_packages(mmaddp.__path__, 'mmaddp.'):
        import_module(module.name)


@pytest.mark.usefixtures('everything')
def test_every_registered_class_is_found_before_its_module_is_imported():
    """The packages of a registry export what its modules register."""
    for one in registries():
        exports = {name for package in one.packages for name in import_module(package).__all__}
        own = {n for n, cls in one.module_dict.items() if cls.__module__.startswith('mmaddp.')}
        assert own <= exports, f'{one.name}: export {own - exports} from {one.packages}'


@pytest.mark.usefixtures('everything')
@pytest.mark.parametrize(
    'package', ['', '.apis', '.datasets', '.engine', '.evaluation', '.models', '.diffusion']
)
def test_every_public_name_exists(package):
    module = import_module(f'mmaddp{package}')
    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match='no attribute'):
        getattr(module, 'absent')  # noqa: B009
