"""Check that the environment can run the package: versions, and mmcv's operators.

If something is missing, print one line with the remedy and exit with status 1.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version

BASIC = ('torch', 'torchvision', 'mmengine', 'mmcv')
# Distributions of one module, of which the later one has overwritten the other's files.
RIVALS = (
    ('mmengine', 'onedl-mmengine'),
    ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    ('mmdet', 'onedl-mmdetection'),
    ('mmsegmentation', 'onedl-mmsegmentation'),
    ('mmpretrain', 'onedl-mmpretrain'),
)
# These import mmcv's operators, so check the operators first.
FURTHER = ('mmaddp', 'mmdet', 'mmseg', 'mmpretrain', 'timm')
REINSTALL = (
    'pip uninstall -y mmcv mmcv-lite onedl-mmcv; '
    'pip install --no-deps --no-cache-dir onedl-mmcv==2.3.6'
)


def main() -> None:
    """Import everything, run an operator on each device and print the versions."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quiet', action='store_true', help='print nothing on success')
    quiet = parser.parse_args().quiet
    check_rivals()
    for name in BASIC:
        import_or_stop(name)
    if not is_compiled():
        import_or_stop('mmaddp')  # brings torchvision's operators
    check_ops()
    for name in FURTHER:
        import_or_stop(name)
    if not quiet:
        modules = [importlib.import_module(name) for name in BASIC + FURTHER]
        print(*(f'{module.__name__} {module.__version__}' for module in modules))
        print(f'operators: {"compiled" if is_compiled() else "of torchvision"}')


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


def check_rivals() -> None:
    """Refuse two distributions of one module, such as mmdet and its continuation."""
    for names in RIVALS:
        found = [name for name in names if installed(name)]
        if len(found) > 1:
            stop(
                f'{" and ".join(map(installed, found))} are the same modules, and one overwrote '
                f'the other: pip uninstall -y {" ".join(found)}; then install one of them again'
            )


def installed(name: str) -> str:
    """A distribution and its version; empty if it is not installed."""
    try:
        return f'{name} {version(name)}'
    except PackageNotFoundError:
        return ''


def check_ops() -> None:
    """Run non-maximum suppression on the CPU, and on the GPU if there is one."""
    import torch

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        try:
            from mmcv.ops import nms

            kept = nms(boxes.to(device), scores.to(device), 0.5)[1].tolist()
        except Exception as error:
            reason = f'{type(error).__name__}: {error}'.splitlines()[0]
            # PyTorch's own errors go on with the C++ stack in the same line.
            stop_for_operators(
                f'fail on {device} ({reason.partition(" Exception raised from")[0]})'
            )
        if kept != [0, 2]:
            stop_for_operators(f'return a wrong result on {device}')


def is_compiled() -> bool:
    """Whether mmcv has operators of its own."""
    return PathFinder.find_spec('mmcv._ext', importlib.import_module('mmcv').__path__) is not None


def stop_for_operators(failure: str) -> None:
    """Print the remedy and exit: without operators of its own, mmcv gets torchvision's."""
    if is_compiled():
        stop(f"{mmcv_name()}'s operators {failure}; reinstall it without them: {REINSTALL}")
    stop(f"torchvision's operators {failure}: install the torchvision that fits this torch")


def mmcv_name() -> str:
    """The installed distribution of mmcv and its version."""
    return next(filter(None, map(installed, RIVALS[1])), 'mmcv')


def stop(message: str) -> None:
    """Print one line and exit with status 1."""
    print(f'error: {" ".join(message.split())}', file=sys.stderr)
    sys.exit(1)


if __name__ == '__main__':
    main()
