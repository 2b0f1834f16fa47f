import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from scripts import run_main

from mmaddp.experiments import robustness as robustness_module
from mmaddp.experiments.robustness import build_trained, evaluate_robustness
from mmaddp.utils import UserError

TENCH, GOLDFISH, STINGRAY = 'n01440764', 'n01443537', 'n01498041'

CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmaddp'], allow_failed_imports=False)
data_preprocessor = dict(num_classes=1000, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4, num_stages=1,
                  strides=(1, ), dilations=(1, ), out_indices=(0, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=4))
test_dataloader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='default_collate'), drop_last=True,
    dataset=dict(type='ImageNet', data_root='absent', split='val', pipeline=[
        dict(type='LoadImageFromFile'), dict(type='ResizeEdge', scale=16, edge='short'),
        dict(type='CenterCrop', crop_size=16), dict(type='PackInputs')]))
"""


def draw(folder, *wnids):
    for i, wnid in enumerate(wnids):
        (folder / wnid).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / wnid / f'{i}.png'), np.full((20, 24, 3), 40, np.uint8))


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'tiny.py').write_text(CONFIG)
    return Config.fromfile(tmp_path / 'tiny.py')


@pytest.fixture
def checkpoint(tmp_path, config):
    """Always says tench (0); among classes without it, stingray (6), which -A and -R have."""
    torch.manual_seed(0)
    config = config.copy()
    model = robustness_module.MODELS.build({**config.model, '_scope_': 'mmpretrain'})
    state = model.state_dict()
    state['head.fc.weight'].zero_()
    state['head.fc.bias'].zero_()
    state['head.fc.bias'][0] = 2.0
    state['head.fc.bias'][6] = 1.0
    torch.save({'state_dict': state}, tmp_path / 'tiny.pth')
    return tmp_path / 'tiny.pth'


@pytest.fixture
def data_root(tmp_path):
    root = tmp_path / 'data'
    draw(root / 'imagenet-a', STINGRAY, STINGRAY, STINGRAY, 'n01531178')
    draw(root / 'imagenet-r', GOLDFISH, STINGRAY, 'n01614925')
    draw(root / 'imagenet-sketch', TENCH, STINGRAY, GOLDFISH, 'n01484850', 'n01491361')
    for severity in range(1, 6):
        draw(root / f'imagenet-c/weather/fog/{severity}', TENCH, STINGRAY)
    draw(root / 'imagenet-c/weather/snow/1', TENCH)
    return root


def test_figures_follow_from_what_the_model_says(config, checkpoint, data_root, tmp_path):
    summary = evaluate_robustness(config, checkpoint, data_root, work_dir=tmp_path / 'out')
    top1 = {name: result['top1'] for name, result in summary.items()}
    assert top1 == pytest.approx(
        {'imagenet-a': 75, 'imagenet-r': 100 / 3, 'imagenet-sketch': 20, 'imagenet-c': None}
    )
    fog = summary['imagenet-c']['corruptions']['fog']
    assert fog == pytest.approx({'top1': 50, 'error': 50, 'ce': 5000 / 81.9324, 'images': 10})
    assert summary['imagenet-c']['mce'] is None
    assert json.loads((tmp_path / 'out/summary.json').read_text()) == summary


def test_batches_and_workers_change_nothing(config, checkpoint, data_root, tmp_path):
    chosen = ['imagenet-sketch']
    one, other = (
        evaluate_robustness(
            config,
            checkpoint,
            data_root,
            work_dir=tmp_path / f'{b}',
            datasets=chosen,
            batch_size=b,
            num_workers=w,
        )
        for b, w in ((1, 0), (4, 1))
    )
    assert one == other


def test_interrupted_run_goes_on(config, checkpoint, data_root, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    whole = evaluate_robustness(config, checkpoint, data_root, work_dir=tmp_path / 'whole')
    evaluate_part = robustness_module._evaluate_part
    seen = []

    def stop_at_third(model, loader, part, *args):
        seen.append(part.key)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return evaluate_part(model, loader, part, *args)

    monkeypatch.setattr(robustness_module, '_evaluate_part', stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate_robustness(config, checkpoint, data_root, work_dir=out)
    assert evaluate_robustness(config, checkpoint, data_root, work_dir=out) == whole
    assert seen[:4] == ['imagenet-a', 'imagenet-r', 'imagenet-sketch', 'imagenet-sketch']
    count = len(seen)
    evaluate_robustness(config, checkpoint, data_root, work_dir=out)
    assert len(seen) == count, 'a finished evaluation was done again'


def test_changed_test_set_is_evaluated_again(config, checkpoint, data_root, tmp_path):
    options = {'work_dir': tmp_path / 'out', 'datasets': ['imagenet-r']}
    evaluate_robustness(config, checkpoint, data_root, **options)
    draw(data_root / 'imagenet-r', 'n01616318')
    summary = evaluate_robustness(config, checkpoint, data_root, **options)
    assert summary['imagenet-r']['top1'] == 25.0


def test_results_of_another_model_are_kept(config, checkpoint, data_root, tmp_path):
    options = {'work_dir': tmp_path / 'out', 'datasets': ['imagenet-r']}
    evaluate_robustness(config, checkpoint, data_root, **options)
    before = (tmp_path / 'out/results.json').read_bytes()
    config.merge_from_dict({'data_preprocessor.std': [2.0, 2.0, 2.0]})
    with pytest.raises(UserError, match='results of another config: give another folder'):
        evaluate_robustness(config, checkpoint, data_root, **options)
    assert (tmp_path / 'out/results.json').read_bytes() == before


def test_preprocessor_of_the_config_is_used(config, checkpoint):
    config.data_preprocessor.mean = [1.0, 2.0, 3.0]
    model = build_trained(config, checkpoint)
    assert model.data_preprocessor.mean.flatten().tolist() == [1.0, 2.0, 3.0]
    assert not model.training


def test_a_model_around_an_encoder_is_read_by_its_own_names(config, tmp_path):
    """The encoder inside alone would be known too, as an encoder's file."""
    arch = dict(embed_dims=4, num_layers=1, num_heads=1)
    arguments = dict(arch=arch, img_size=16)
    config.model.backbone = dict(type='mmaddp.Encoder', model='mmaddp:ADDPViT', arguments=arguments)
    state = robustness_module.MODELS.build({**config.model, '_scope_': 'mmpretrain'}).state_dict()
    torch.save({'state_dict': state}, tmp_path / 'whole.pth')
    built = build_trained(config, tmp_path / 'whole.pth').state_dict()
    assert all(torch.equal(built[name], tensor) for name, tensor in state.items())


def test_checkpoint_of_another_model(config, checkpoint):
    config.model.head.num_classes = 10
    with pytest.raises(UserError, match=r'head\.fc\.weight is \(1000, 4\), expected \(10, 4\)'):
        build_trained(config, checkpoint)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_broken_image_is_one_line(config, checkpoint, data_root, tmp_path, num_workers):
    next((data_root / 'imagenet-r' / GOLDFISH).iterdir()).write_bytes(b'')
    with pytest.raises(UserError) as error:
        evaluate_robustness(
            config,
            checkpoint,
            data_root,
            work_dir=tmp_path / 'r',
            datasets=['imagenet-r'],
            num_workers=num_workers,
        )
    assert str(error.value).startswith(str(data_root))
    assert '\n' not in str(error.value)


def test_command(config, checkpoint, data_root, tmp_path, repository, capfd):
    words = [
        config.filename, str(checkpoint), '--data-root', str(data_root), '--num-workers', '0',
        '--device', 'cpu', '--datasets', 'imagenet-c', '--work-dir', str(tmp_path / 'results'),
    ]  # fmt: skip
    run_main(repository / 'tools/analysis_tools/evaluate_robustness.py', words)
    printed = capfd.readouterr()
    rows = [line.replace('|', '').split() for line in printed.out.splitlines()]
    assert ['fog', '10', '50.00', '50.00', '61.03'] in rows
    assert '| fog ' in (tmp_path / 'results/robustness.md').read_text()
    assert 'missing: gaussian_noise, ' in printed.out
    assert '[6/6] imagenet-c/fog/5: top-1 50.00% of 2 images' in printed.err
