"""The command runs the scripts of tools/."""

import subprocess
import sys

import pytest

from mmaddp import cli
from mmaddp.utils import ROOT, UserError

CONFIG = 'configs/cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px.py'


@pytest.mark.parametrize('script', sorted({script for script, _ in cli.COMMANDS.values()}))
def test_every_command_has_a_script(script):
    assert (ROOT / 'tools' / script).is_file()


def test_help_lists_the_commands_without_torch(repository):
    program = (
        'import sys\nfrom mmaddp.cli import main\n'
        "try:\n    main(['--help'])\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    printed = subprocess.check_output([sys.executable, '-c', program], cwd=repository, text=True)
    assert all(f'  {name} ' in printed for name in cli.COMMANDS)


def test_a_config_is_found_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['mmaddp'])
    cli.main(['config', CONFIG])
    assert 'mmaddp.DARLViT' in capsys.readouterr().out


def test_a_config_is_found_by_its_name(tmp_path, monkeypatch):
    from mmaddp.apis import load_config

    monkeypatch.chdir(tmp_path)
    name = CONFIG.rpartition('/')[2]
    assert load_config(name).filename == str(ROOT / CONFIG)
    with pytest.raises(UserError, match=f'no config has this name: did you mean {name}'):
        load_config(name.replace('64', '32'))
    with pytest.raises(UserError, match='give a path, or a name of configs/'):
        load_config('0123456789.py')


def test_an_own_file_comes_first(tmp_path, monkeypatch):
    (tmp_path / CONFIG).parent.mkdir(parents=True)
    (tmp_path / CONFIG).write_text('')
    monkeypatch.chdir(tmp_path)
    assert cli.find_config(CONFIG) == CONFIG


def test_completion_of_configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configuration.py').touch()
    assert CONFIG in list(cli.complete('configs/cls/darl/darl-mse_vit-toy'))
    assert 'configuration.py' in list(cli.complete('conf'))
    assert not [name for name in cli.complete('configs/') if '_base_' in name]


def test_a_written_file_is_not_put_into_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.find_configs([CONFIG, '--out', CONFIG]) == [
        str(ROOT / CONFIG),
        '--out',
        CONFIG,
    ]
