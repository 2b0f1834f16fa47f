"""Check that the environment can run the package: versions, and mmcv's compiled operators.

If something is missing, print one line with the remedy and exit with status 1.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

BASIC = ('torch', 'torchvision', 'mmengine', 'mmcv')
# These import mmcv's operators, so check the operators first.
FURTHER = ('mmdet', 'mmseg', 'mmpretrain', 'timm')
REBUILD = (
    'pip uninstall -y mmcv mmcv-lite onedl-mmcv; '
    'pip install --no-build-isolation --no-cache-dir onedl-mmcv==2.3.6'
)


def main() -> None:
    """Import everything, run an operator on each device and print the versions."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quiet', action='store_true', help='print nothing on success')
    quiet = parser.parse_args().quiet
    for name in BASIC:
        import_or_stop(name)
    check_ops()
    for name in FURTHER:
        import_or_stop(name)
    if not quiet:
        modules = [importlib.import_module(name) for name in BASIC + FURTHER]
        print(' '.join(f'{module.__name__} {module.__version__}' for module in modules))


def import_or_stop(name: str) -> None:
    """Import a module. On failure, print the reason and the remedy."""
    try:
        importlib.import_module(name)
    except Exception as error:
        hint = (
            'install the libraries that OpenCV needs (Debian: libgl1 libglib2.0-0)'
            if 'libGL' in str(error) or 'libgthread' in str(error)
            else 'install the versions of requirements.txt: bash tools/setup_env.sh'
        )
        stop(f'{name} cannot be imported in {sys.executable} ({error}): {hint}')


def check_ops() -> None:
    """Run non-maximum suppression on the CPU, and on the GPU if there is one."""
    import torch

    try:
        from mmcv.ops import nms
    except Exception as error:
        stop(
            f'{mmcv_name()} has no compiled operators ({type(error).__name__}: {error}); '
            f'rebuild them: {REBUILD}'
        )
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    for device in devices:
        try:
            kept = nms(boxes.to(device), scores.to(device), 0.5)[1].tolist()
        except Exception as error:
            force = 'FORCE_CUDA=1 ' if device == 'cuda' else ''
            needs = f'with nvcc of CUDA {torch.version.cuda} on the PATH ' if force else ''
            stop(
                f"{mmcv_name()}'s operators do not run on {device} ({error}); rebuild them "
                f'{needs}by: {REBUILD.replace("pip install", f"{force}pip install")}'
            )
        if kept != [0, 2]:
            stop(f"{mmcv_name()}'s nms returns a wrong result on {device}; rebuild it: {REBUILD}")


def mmcv_name() -> str:
    """The installed mmcv distribution and its version."""
    for name in ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'):
        try:
            return f'{name} {version(name)}'
        except PackageNotFoundError:
            continue
    return 'mmcv'


def stop(message: str) -> None:
    """Print one line and exit with status 1."""
    print(f'error: {" ".join(message.split())}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
    main()
