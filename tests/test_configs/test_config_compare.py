"""The files of configs/compare: their configs exist and fit, sizes and budgets are equal."""

import pytest
import torch

from mmaddp.engine.runs import load_config
from mmaddp.experiments.comparison import budget, read_comparison
from mmaddp.experiments.costs import encoder_parameters
from mmaddp.experiments.probing import is_probe
from mmaddp.experiments.protocol import check_same, protocol_of
from mmaddp.registry import MODELS

FILES = ('small', 'imagenet_coco_ade20k')


def configs_of(comparison, task):
    """The configs of a task with their options, by method."""
    methods = comparison.methods
    sources = {name: comparison.source(task, name) for name in methods}
    return {name: load_config(*sources[name]) for name in methods if task in methods[name].entries}


@pytest.fixture(params=FILES)
def comparison(request, repository, monkeypatch):
    monkeypatch.chdir(repository)
    return read_comparison(f'configs/compare/{request.param}.py')


def test_every_method_is_in_every_task(comparison, repository):
    for method in comparison.methods.values():
        assert list(method.entries) == list(comparison.tasks)
        for entry in method.entries.values():
            assert entry.pretrain is None or (repository / entry.pretrain).is_file()


@pytest.mark.parametrize('task', ['probe', 'cls', 'det', 'seg'])
def test_configs_have_what_the_page_needs(comparison, task):
    configs = configs_of(comparison, task)
    protocols = {method: protocol_of(config) for method, config in configs.items()}
    check_same(protocols, task, comparison.tasks[task].may_differ)
    for method, config in configs.items():
        assert is_probe(config) == (task == 'probe'), method
        assert is_probe(config) or 'backbone' in config.model, method
        if comparison.methods[method].entries[task].best_cell:
            assert 'best_cell' in config


@pytest.mark.parametrize(('task', 'method'), [(task, 'ddae') for task in ('cls', 'det', 'seg')])
def test_the_small_networks_fill_the_backbones(repository, monkeypatch, task, method):
    """ViTs adapt to other sizes; a UNet is what it is."""
    monkeypatch.chdir(repository)
    comparison = read_comparison('configs/compare/small.py')
    source, options = comparison.source(task, method)
    backbone = load_config(source, options).model.backbone
    pretrain = load_config(comparison.methods[method].entries[task].pretrain)
    with torch.device('meta'):
        wanted = MODELS.build({**backbone, 'init_cfg': None}).state_dict()
        network = MODELS.build(pretrain.model.network).state_dict()
    assert wanted
    assert all(network[name].shape == tensor.shape for name, tensor in wanted.items())


def test_small_encoders_are_of_one_size_and_budget(repository, monkeypatch):
    monkeypatch.chdir(repository)
    comparison = read_comparison('configs/compare/small.py')
    sizes = [encoder_parameters(config) for config in configs_of(comparison, 'probe').values()]
    assert max(sizes) < 1.15 * min(sizes)
    for task in comparison.tasks:
        budgets = [budget(config) for config in configs_of(comparison, task).values()]
        assert all(one == budgets[0] for one in budgets)
    pretraining = {
        entry.pretrain
        for method in comparison.methods.values()
        for entry in method.entries.values()
        if entry.pretrain
    }
    assert len(pretraining) == 6
    assert all(
        budget(load_config(path)) == dict(iterations=3000, batch_size=64) for path in pretraining
    )


def test_the_zoo_is_compared_by_one_protocol(repository, monkeypatch):
    monkeypatch.chdir(repository)
    comparison = read_comparison('configs/compare/zoo.py')
    assert all(
        method.entries.keys() == comparison.tasks.keys() for method in comparison.methods.values()
    )
    for task in comparison.tasks:
        rows = ['darl', 'ddae_random', *(['addp', 'timm_random'] if task == 'seg' else [])]
        configs = {name: load_config(*comparison.source(task, name)) for name in rows}
        check_same({name: protocol_of(one) for name, one in configs.items()}, task)
        assert len({str(budget(one)) for one in configs.values()}) == 1


@pytest.fixture
def encoders(repository, monkeypatch):
    """Read the comparison of encoders under some environment variables."""
    monkeypatch.chdir(repository)
    monkeypatch.delenv('UNET', raising=False)

    def read(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return read_comparison('configs/compare/encoders.py')

    return read


@pytest.mark.parametrize('task', ['probe', 'cls', 'det', 'seg'])
def test_encoders_of_all_libraries_share_a_tasks_protocol(encoders, task):
    comparison = encoders(STEPS='9')
    names = dict(addp='mmaddp:ADDPViT', ddae='mmaddp:DDAEUNet', timm_convnext='timm:convnext_atto')
    configs = {name: load_config(*comparison.source(task, name)) for name in names}
    check_same({name: protocol_of(config) for name, config in configs.items()}, task, ())
    for name, config in configs.items():
        encoder = config.model.get('backbone') or config.model.encoder
        assert encoder.model == names[name]
    if task in ('det', 'seg'):
        assert config.train_cfg.max_iters == config.param_scheduler[1].end == 9


def test_a_unet_of_diffusers_is_compared_where_its_folder_is_named(encoders):
    others = ['addp', 'darl', 'ddae', 'timm_vit', 'timm_convnext', 'hf_vit']
    assert list(encoders().methods) == others
    comparison = encoders(UNET='checkpoints/unet')
    assert list(comparison.methods) == [*others, 'diffusers_unet']
    for task, entry in comparison.methods['diffusers_unet'].entries.items():
        part = 'encoder' if task == 'probe' else 'backbone'
        assert entry.options[f'model.{part}.model'] == 'diffusers:checkpoints/unet'
        assert entry.options[f'model.{part}.time'] == 10
