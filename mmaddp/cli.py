"""The command ``mmaddp``: the scripts of tools/ under one name, wherever the package is installed.

A script is loaded only when its command is called. To complete commands and config names, install
argcomplete and run ``eval "$(register-python-argcomplete mmaddp)"``.
"""

# PYTHON_ARGCOMPLETE_OK
from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmaddp.utils import ROOT, find_config, run_tool
from mmaddp.version import __version__

# A command, its script, and what it does.
COMMANDS = {
    'train': ('train.py', 'train a config of any task'),
    'pretrain': ('train.py', 'the same, for configs of configs/pretrain'),
    'plan': ('plan.py', 'tell memory and time of a training'),
    'test': ('test.py', 'test a checkpoint'),
    'predict': ('predict.py', 'detect, segment or classify images'),
    'merge': ('model_converters/merge_lora.py', 'merge low-rank adapters into the weights'),
    'export': ('export.py', 'write a model as ONNX, or its encoder for timm'),
    'generate': ('generate.py', 'generate or complete images'),
    'evaluate': ('evaluate_generation.py', 'measure generated images: FID and others'),
    'probe': ('probe.py', 'probe all layers at all noise levels'),
    'compare': ('compare.py', 'compare encoders under the same trainings'),
    'sweep': ('sweep.py', 'train a grid of options'),
    'convert': ('model_converters/convert_checkpoint.py', 'convert published checkpoints'),
    'tokenize': ('dataset_converters/tokenize_dataset.py', 'precompute the VQ tokens of images'),
    'browse': ('analysis_tools/browse_dataset.py', 'write images of the training data'),
    'benchmark': ('analysis_tools/benchmark.py', 'measure speed and memory of a config'),
    'zoo': ('zoo.py', 'list the small encoders that come with the package'),
    'plot': ('analysis_tools/plot_log.py', 'plot the curves of trainings'),
    'config': ('analysis_tools/print_config.py', 'print a config with all its bases'),
    'env': ('check_env.py', 'check the installation'),
}


def main(words: list[str] | None = None) -> None:
    """Run the command that the command line names."""
    args = build_parser().parse_args(words or sys.argv[1:] or ['--help'])
    script = ROOT / 'tools' / COMMANDS[args.command][0]
    sys.argv = [f'mmaddp {args.command}', *find_configs(args.arguments)]
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    # Where pickle looks for what the script defines.
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    run_tool(module.main)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command, with completion where argcomplete is installed."""
    listed = '\n'.join(f'  {name:10} {what}' for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='mmaddp',
        usage='mmaddp COMMAND ...',
        description='The tools of mmaddp: encoders pre-trained by generative methods.',
        epilog=f'commands:\n{listed}\n\nmmaddp COMMAND --help prints the options of a command. '
        'Configs are named as in the repository, configs/pretrain/…, or by their file name alone.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument('arguments', nargs=argparse.REMAINDER).completer = complete
    with suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser)
    return parser


def find_configs(words: list[str]) -> list[str]:
    """The arguments with the paths of configs; what follows ``--out`` is written, not read."""
    before = ['', *words]
    return [w if b.startswith('--out') else find_config(w) for b, w in zip(before, words)]


def complete(prefix: str, **_: object) -> Iterator[str]:
    """Files, and the configs of this package, that begin with what was typed."""
    paths = [*Path().glob(f'{prefix}*'), *(ROOT / 'configs').rglob('*.py')]
    names = (str(path.relative_to(ROOT) if ROOT in path.parents else path) for path in paths)
    yield from (name for name in names if name.startswith(prefix) and '_base_' not in name)
