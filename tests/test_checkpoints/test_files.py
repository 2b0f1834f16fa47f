"""Conversion from file to file: whole or not at all, and the file says where it is from."""

import hashlib
import json
import os
import signal

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors import safe_open
from scripts import run_main

from mmaddp.checkpoints import (
    RULES_VERSION,
    SOURCES,
    convert_file,
    files,
    read_checkpoint,
    summary_table,
)
from mmaddp.models import ADDPViT
from mmaddp.utils import UserError

from .layouts import encoder_shapes, mae_shapes, random_weights

pytestmark = pytest.mark.generations


@pytest.fixture
def mae_file(tmp_path):
    path = tmp_path / 'mae_pretrain_vit_tiny.pth'
    torch.save({'model': random_weights(mae_shapes())}, path)
    return path


@pytest.mark.parametrize('extension', ['.pth', '.pt', '.safetensors'])
def test_the_file_holds_backbone_and_origin(mae_file, tmp_path, extension):
    destination = tmp_path / 'out' / f'backbone{extension}'
    report = convert_file(mae_file, destination)
    read = read_checkpoint(destination)
    assert set(read['state_dict']) == set(encoder_shapes())
    assert read['meta']['mmaddp'] == report.meta
    assert report.meta['source_sha256'] == hashlib.sha256(mae_file.read_bytes()).hexdigest()
    assert report.meta['source_file'] == mae_file.name
    assert (report.meta['source'], report.meta['target']) == ('mae', 'backbone')
    assert report.meta['rules_version'] == RULES_VERSION


def test_weights_keep_the_terms_of_their_authors(mae_file, tmp_path):
    first = convert_file(mae_file, tmp_path / 'backbone.pth').meta['license']
    assert first == 'CC BY-NC 4.0 if from MAE, else as the authors of the file say'
    again = convert_file(tmp_path / 'backbone.pth', tmp_path / 'again.safetensors')
    assert again.meta['source'] == 'mmaddp'
    assert again.meta['license'] == first
    assert SOURCES['addp'].license == 'CC BY-NC 4.0 (ADDP)'
    # What was trained here has none of theirs.
    encoder = ADDPViT(dict(embed_dims=32, num_layers=1, num_heads=2), img_size=32)
    torch.save({'state_dict': encoder.state_dict()}, tmp_path / 'own.pth')
    assert not convert_file(tmp_path / 'own.pth', tmp_path / 'c.pth').meta['license']


def test_openmmlab_loads_the_file(mae_file, tmp_path):
    convert_file(mae_file, tmp_path / 'backbone.pth')
    arch = {'embed_dims': 32, 'num_layers': 2, 'num_heads': 2}
    model = ADDPViT(arch, img_size=64, embed_norm=False, final_norm=False)
    load_checkpoint(model, str(tmp_path / 'backbone.pth'), strict=True)
    expected = torch.load(mae_file, weights_only=True)['model']['blocks.1.attn.qkv.weight']
    assert torch.equal(model.blocks[1].attn.qkv.weight, expected)


def test_safetensors_header_is_readable_by_others(mae_file, tmp_path):
    report = convert_file(mae_file, tmp_path / 'backbone.safetensors')
    with safe_open(tmp_path / 'backbone.safetensors', framework='np') as file:
        assert json.loads(file.metadata()['mmaddp']) == report.meta


@pytest.mark.parametrize('extension', ['.pth', '.safetensors'])
def test_the_same_source_gives_the_same_bytes(mae_file, tmp_path, extension):
    for name in 'ab':
        convert_file(mae_file, tmp_path / f'{name}{extension}')
    assert (tmp_path / f'a{extension}').read_bytes() == (tmp_path / f'b{extension}').read_bytes()


def test_tensors_that_share_memory_are_written_once_each(tmp_path):
    weights = random_weights(mae_shapes())
    pool = torch.zeros(1_000_000)
    weights['cls_token'] = pool[:32].view(1, 1, 32)
    torch.save({'model': weights}, tmp_path / 'a.pth')
    convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert (tmp_path / 'b.pth').stat().st_size < 1_000_000


def test_an_existing_file_is_kept_unless_forced(mae_file, tmp_path):
    destination = tmp_path / 'backbone.pth'
    destination.write_text('precious')
    with pytest.raises(UserError, match='exists; name another file or add --force'):
        convert_file(mae_file, destination)
    assert destination.read_text() == 'precious'
    convert_file(mae_file, destination, force=True)
    assert 'state_dict' in read_checkpoint(destination)


def test_a_failure_while_writing_leaves_the_old_file(mae_file, tmp_path, monkeypatch):
    destination = tmp_path / 'backbone.pth'
    destination.write_text('old')

    def disk_full(_, file):
        file.write(b'half')
        raise OSError('no space left on device')

    monkeypatch.setattr(files.torch, 'save', disk_full)
    with pytest.raises(OSError, match='no space'):
        convert_file(mae_file, destination, force=True)
    assert destination.read_text() == 'old'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['backbone.pth', mae_file.name]


def test_being_killed_while_writing_leaves_the_old_file(mae_file, tmp_path):
    destination = tmp_path / 'backbone.pth'
    destination.write_text('old')
    pid = os.fork()
    if pid == 0:

        def killed(_, file):
            file.write(b'half')
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        files.torch.save = killed
        convert_file(mae_file, destination, force=True)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert destination.read_text() == 'old'


def test_errors_name_the_file(mae_file, tmp_path):
    with pytest.raises(UserError, match=r'b\.bin: the file to write must end in \.pth'):
        convert_file(mae_file, tmp_path / 'b.bin')
    with pytest.raises(UserError, match=rf"{mae_file}: 'pretrain' cannot be made from 'mae'"):
        convert_file(mae_file, tmp_path / 'b.pth', target='pretrain')
    assert not (tmp_path / 'b.pth').exists()


def test_the_summary_accounts_for_every_tensor(mae_file, tmp_path):
    report = convert_file(mae_file, tmp_path / 'b.pth')
    assert sum(part.tensors for part in report.parts) == len(mae_shapes())
    table = summary_table(report)
    assert 'dropped: only pre-training decodes' in table
    assert 'final norm' in table


def test_the_tool(mae_file, tmp_path, repository, capsys):
    tool = repository / 'tools/model_converters/convert_checkpoint.py'
    options = ['--source', 'mae', '--target', 'backbone']
    run_main(tool, [str(mae_file), str(tmp_path / 'b.pth'), *options])
    assert 'encoder' in capsys.readouterr().out
    assert (tmp_path / 'b.pth').exists()
    with pytest.raises(UserError, match=r'absent\.pth'):
        run_main(tool, [str(tmp_path / 'absent.pth'), str(tmp_path / 'c.pth')])
