"""Each kind of bad input ends in one line that names the file or key and the remedy."""

import argparse
import copy
import errno
import json
import os
import re
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from PIL import Image
from tiny_faults import hold_folder
from tiny_runs import CHILDREN, classifier, write_images

from mmaddp.datasets.image_files import image_fault
from mmaddp.engine.arguments import add_config_arguments, add_device_argument
from mmaddp.engine.data import GuardedDataset, SeededDataset
from mmaddp.engine.hooks.data_check_hook import out_of_range
from mmaddp.engine.resumption import lock_folder
from mmaddp.engine.runner.weights import check_weights
from mmaddp.engine.runs import (
    clear_errors,
    load_config,
    set_amp,
    set_auto_scale_lr,
    train,
    write_predictions,
)
from mmaddp.engine.runs import test as run_test
from mmaddp.engine.validation import check_machine, check_runs_on_cpu
from mmaddp.utils import UserError, run_tool

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / 'images', per_class=2)


@pytest.fixture
def config(tmp_path, images):
    config = classifier(images, tmp_path / 'work')
    config.merge_from_dict({'train_cfg.max_epochs': 1, 'custom_hooks': []})
    return config


@pytest.fixture
def config_file(tmp_path, config):
    config.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def one_line(error: pytest.ExceptionInfo) -> str:
    assert '\n' not in str(error.value)
    return str(error.value)


class TestConfig:
    def test_missing_file(self):
        with pytest.raises(UserError, match=r'absent\.py: no config has this name'):
            load_config('absent.py')

    @pytest.mark.parametrize('text', ['a = (', 'a = b', "_base_ = './absent.py'"])
    def test_broken_file(self, tmp_path, text):
        (tmp_path / 'broken.py').write_text(text)
        with pytest.raises(UserError, match=r'broken\.py: \w+Error') as error:
            load_config(tmp_path / 'broken.py')
        one_line(error)

    def test_missing_module(self, tmp_path):
        (tmp_path / 'plugin.py').write_text("custom_imports = dict(imports=['mmaddp', 'absent'])")
        with pytest.raises(UserError, match=r"plugin\.py: \w+Error: No module named 'absent'$"):
            load_config(tmp_path / 'plugin.py')

    @pytest.mark.parametrize(
        ('key', 'meant'),
        [
            ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
            ('modle.backbone.img_size', 'model'),
            ('model.backbone.drop_path', 'model.backbone.drop_path_rate'),
            ('model.backbone.arch.num_layer', 'model.backbone.arch.num_layers'),
            ('default_hooks.checkpoint.max_keep_ckpt', 'default_hooks.checkpoint.max_keep_ckpts'),
            ('param_scheduler.0.T_maxx', 'param_scheduler.0.T_max'),
        ],
    )
    def test_misspelt_option(self, config_file, key, meant):
        with pytest.raises(UserError, match=rf'{key}\b.*did you mean {meant}') as error:
            load_config(config_file, {key: 1})
        one_line(error)

    @pytest.mark.parametrize(
        ('key', 'told'),
        [
            ('lables', 'did you mean labels'),
            ('batch_size', 'did you mean train_dataloader.batch_size'),
            ('lr', 'did you mean optim_wrapper.optimizer.lr'),
            ('epochs', 'define epochs in the config file'),
            # A variable of the file, copied into the data sets when it was read.
            ('data_root', 'only in the config file: set train_dataloader.dataset.data_root'),
        ],
    )
    def test_option_that_nothing_reads(self, key, told):
        config = CONFIGS / 'det/darl/mask-rcnn_darl-vit-toy_sfp_1xb4-500i_coco-folder.py'
        with pytest.raises(UserError, match=f'--cfg-options {key}: .*{told}') as error:
            load_config(config, {key: 1})
        one_line(error)

    def test_option_of_a_variable_that_code_may_read(self, tmp_path):
        path = tmp_path / 'config.py'
        path.write_text('my_factor = 3\ntrain_cfg = dict(by_epoch=True, max_epochs=3)')
        assert load_config(path, {'my_factor': 4}).my_factor == 4

    @pytest.mark.parametrize(
        'key',
        [
            'model.backbone.with_cp',
            'train_dataloader.persistent_workers',
            'train_dataloader.num_batch_per_epoch',
            'load_from',
            'randomness.deterministic',
            'auto_scale_lr.base_batch_size',
            'model.backbone.init_cfg.checkpoint',
            'optim_wrapper.clip_grad.max_norm',
            'optim_wrapper.accumulative_counts',
            'param_scheduler.0.eta_min',
        ],
    )
    def test_new_options_that_exist_pass(self, config_file, key):
        load_config(config_file, {key: 1})

    def test_misspelt_type(self, config):
        config.model.backbone.type = 'mmaddp.ADDPVit'
        hint = r"'mmaddp\.ADDPVit'.*did you mean 'mmaddp\.ADDPViT'"
        with pytest.raises(UserError, match=hint) as error:
            train(config)
        one_line(error)

    def test_misspelt_type_of_a_dataset(self, config):
        config.train_dataloader.dataset.pipeline[0].type = 'LoadImageFromFiles'
        with pytest.raises(UserError, match=r"'mmpretrain\.LoadImageFromFile'") as error:
            train(config)
        one_line(error)

    def test_misspelt_key(self, config):
        config.model.head.num_clases = 3
        hint = r'head\.num_clases: LinearClsHead has no such key.*head\.num_classes\?'
        with pytest.raises(UserError, match=hint):
            train(config)

    def test_missing_key(self, config):
        del config.model.head.num_classes
        with pytest.raises(UserError, match=r'model\.head: LinearClsHead needs num_classes'):
            train(config)

    @pytest.mark.parametrize(
        ('settings', 'message'),
        [
            ({'model.backbone.arch': 'bse'}, "arch='bse' is none of 'base', "),
            ({'model.backbone.out_indices': (5,)}, r'block=5: must be in'),
            (
                {
                    'optim_wrapper.constructor': 'mmaddp.LayerDecayOptimWrapperConstructor',
                    'optim_wrapper.paramwise_cfg': {'layer_decay_rate': 7},
                },
                r'optim_wrapper\.paramwise_cfg\.layer_decay_rate=7: must be in \(0, 1\]',
            ),
            (
                {
                    'model.neck': {
                        'type': 'mmaddp.SimpleFeaturePyramid',
                        'in_channels': 8,
                        'out_channels': 8,
                        'scale_factors': (3,),
                    }
                },
                'scale_factors=3 is none of',
            ),
        ],
    )
    def test_wrong_value(self, config, settings, message):
        config.merge_from_dict(settings)
        with pytest.raises(UserError, match=message) as error:
            train(config)
        one_line(error)

    def test_a_value_error_of_anyone_else_keeps_its_traceback(self, config):
        config.model.head.num_classes = -1
        with pytest.raises(ValueError, match='num_classes=-1'):
            train(config)

    def test_no_workers_to_keep(self, config):
        settings = {'num_workers': 0, 'persistent_workers': True, 'prefetch_factor': 2}
        config.train_dataloader.update(settings)
        config.val_dataloader = {**config.val_dataloader, **settings}
        train(config)

    @pytest.mark.parametrize(
        ('name', 'meant'),
        [('optim_wraper', 'optim_wrapper'), ('train_dataloder', 'train_dataloader')],
    )
    def test_misspelt_setting_of_a_file(self, config_file, name, meant):
        child = config_file.with_name('child.py')
        child.write_text(f"_base_ = './config.py'\ntrain_pipeline = []\n{name} = dict(a=1)\n")
        with pytest.raises(UserError, match=rf'child\.py: {name} .*did you mean {meant}\?'):
            load_config(child)

    def test_scaling_without_a_base(self, config):
        with pytest.raises(UserError, match=r'auto_scale_lr\.base_batch_size'):
            set_auto_scale_lr(config)

    def test_bugs_keep_their_traceback(self):
        with pytest.raises(ZeroDivisionError), clear_errors():
            _ = 1 / 0


class TestOptions:
    @staticmethod
    def _parse(*options):
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_config_arguments(parser)
        add_device_argument(parser)
        return parser.parse_args(['c.py', '--cfg-options', *options]).cfg_options

    @pytest.mark.parametrize(
        ('text', 'value'),
        [
            ("dict(type='SGD',lr=0.1)", {'type': 'SGD', 'lr': 0.1}),
            ('dict(type=mmaddp.X, betas=(0.9, 0.95))', {'type': 'mmaddp.X', 'betas': (0.9, 0.95)}),
            ("[dict(a=1), {'b': dict(c=None)}]", [{'a': 1}, {'b': {'c': None}}]),
            ('1,2', [1, 2]),
            ('[a,b]', ['a', 'b']),
            ('1e-3', 1e-3),
            ('true', True),
        ],
    )
    def test_values(self, text, value):
        assert self._parse(f'a.b={text}') == {'a.b': value}

    @pytest.mark.parametrize('text', ['foo', 'a=dict(b=', 'a=f(b,c)', 'a=dict(b=f(1))', 'a=(1,b'])
    def test_what_is_no_value(self, text):
        with pytest.raises(argparse.ArgumentError, match='give KEY=VALUE as in a config'):
            self._parse('x=1', text)

    def test_an_optimizer_of_another_type(self, config_file):
        optimizer = self._parse("optim_wrapper.optimizer=dict(_delete_=True,type='SGD',lr=0.1)")
        loaded = load_config(config_file, optimizer)
        assert loaded.optim_wrapper.optimizer == {'type': 'SGD', 'lr': 0.1}

    @pytest.mark.parametrize('device', ['tpu', 'cuda:99', 'xla'])
    def test_unknown_devices(self, device):
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_device_argument(parser)
        assert parser.parse_args(['--device', 'cpu']).device == 'cpu'
        with pytest.raises(argparse.ArgumentError, match=f'{device}: there is no such device'):
            parser.parse_args(['--device', device])


class TestMachine:
    @pytest.mark.parametrize(
        ('key', 'value', 'range'),
        [
            ('train_dataloader.batch_size', 0, 'a whole number, 1 or more'),
            ('val_dataloader.batch_size', 2.5, 'a whole number, 1 or more'),
            ('train_dataloader.num_workers', -1, 'a whole number, 0 or more'),
            ('train_cfg.max_epochs', 0, 'a whole number, 1 or more'),
            ('optim_wrapper.accumulative_counts', 0, 'a whole number, 1 or more'),
            ('optim_wrapper.optimizer.lr', -1e-3, 'a number, 0 or more'),
            ('optim_wrapper.optimizer.lr', float('nan'), 'a number, 0 or more'),
            ('optim_wrapper.optimizer.lr', 'high', 'a number, 0 or more'),
            ('randomness.seed', -1, '0 to 4294967295'),
            ('randomness.seed', 2**32, '0 to 4294967295'),
        ],
    )
    def test_numbers_out_of_range(self, config, key, value, range):
        config.merge_from_dict({key: value})
        with pytest.raises(UserError, match=f'^{re.escape(key)}=.*: must be .*{range}') as error:
            train(config)
        one_line(error)

    def test_numbers_in_range(self, config):
        config.merge_from_dict({'train_cfg.val_interval': 1e9, 'randomness.seed': 2**32 - 1})
        check_machine(config, 'train')

    @no_gpu
    def test_mixed_precision(self, config):
        set_amp(config, 'fp16')
        with pytest.raises(UserError, match=r'needs a GPU.*--amp bf16 or --amp off'):
            train(config)
        for precision in ('auto', 'bf16', 'off'):
            set_amp(config, precision)
            check_runs_on_cpu(config, trains=True)

    def test_sync_norms_in_several_processes(self, config):
        config.launcher = 'pytorch'
        config.model.neck = {'type': 'X', 'norms': [{'norm_cfg': {'type': 'SyncBN'}}]}
        with pytest.raises(UserError, match=r'model\.neck\.norms\.0\.norm_cfg\.type=BN'):
            check_runs_on_cpu(config, trains=True)
        config.launcher = 'none'
        check_runs_on_cpu(config, trains=True)


def _fail(data):
    raise ZeroDivisionError('a side of no pixels')


class TestImages:
    @pytest.mark.parametrize('workers', [0, 1])
    def test_empty(self, config, images, workers):
        (images / 'red' / 'red1.png').write_bytes(b'')
        config.train_dataloader.num_workers = workers
        with pytest.raises(UserError, match=r'^\S*red1\.png is empty') as error:
            train(config)
        one_line(error)

    def test_empty_in_validation(self, config, images):
        (images / 'red' / 'red1.png').write_bytes(b'')
        with pytest.raises(UserError, match=r'red1\.png is empty'):
            train(Config({**config, 'train_dataloader': self._whole(config, images)}))
        # Nothing was trained in vain.
        assert not list(Path(config.work_dir).glob('*.pth'))

    def test_a_line_of_pixels_that_a_transform_cannot_take(self, config, images):
        Image.new('RGB', (900, 2)).save(images / 'red' / 'red1.png')
        init_default_scope('mmpretrain')
        data = GuardedDataset(config.train_dataloader.dataset)
        (index,) = (i for i in range(len(data)) if 'red1' in data.get_data_info(i)['img_path'])
        with mock.patch.object(data.dataset.pipeline, 'transforms', [_fail]):
            with pytest.raises(UserError, match=r'red1\.png: 900 x 2 pixels are too few'):
                data[index]
            with pytest.raises(ZeroDivisionError):
                data[index - 1]

    @staticmethod
    def _whole(config, images):
        good = write_images(images.with_name('whole'), per_class=1)
        loader = config.train_dataloader.copy()
        loader.dataset = {**loader.dataset, 'data_root': str(good)}
        return loader

    @pytest.mark.parametrize('suffix', ['.jpg', '.png'])
    def test_truncated(self, tmp_path, suffix):
        """OpenCV reads such a JPEG without complaint."""
        path = tmp_path / f'image{suffix}'
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        assert image_fault(str(path)) is None
        path.write_bytes(path.read_bytes()[:-200])
        assert 'truncated' in image_fault(str(path))

    def test_missing_folder(self, config):
        config.train_dataloader.dataset.data_root = '/absent'
        with pytest.raises(UserError, match=r'train_dataloader\.dataset\.data_root: /absent'):
            check_machine(config, 'train')

    @pytest.mark.parametrize(
        ('key', 'model'),
        [
            (
                'model.backbone.init_cfg.checkpoint',
                {'backbone': {'init_cfg': {'type': 'Pretrained', 'checkpoint': 'absent.pth'}}},
            ),
            ('checkpoint', {'checkpoint': 'absent.pth'}),
        ],
    )
    def test_missing_encoder(self, config, key, model):
        """Told before data and model are built; addresses are left to MMEngine."""
        config.train_dataloader = None
        config.model = model
        with pytest.raises(UserError, match=rf'^{re.escape(key)}: absent\.pth does not exist'):
            check_machine(config, 'train')
        check_machine(config, 'test')
        config.model = {'backbone': {'init_cfg': {'checkpoint': 'torchvision://resnet50'}}}
        check_machine(config, 'train')

    @pytest.mark.parametrize('where', ['dataset', 'pipeline', 'both'])
    def test_files_of_a_storage_server(self, config, where):
        """Only what is on the local disk is looked for there."""
        dataset = config.train_dataloader.dataset
        stored = {'backend_args': {'backend': 'lmdb', 'db_path': 'a.lmdb'}}
        dataset.update(data_root='', ann_file='a.json', data_prefix={'img': 'images/'})
        if where != 'dataset':
            dataset.pipeline = [{'type': 'LoadImageFromFile', **stored}]
        if where != 'pipeline':
            dataset.update(stored)
        lost = {'dataset': r'data_prefix\.img: images/', 'pipeline': r'ann_file: a\.json'}.get(
            where
        )
        if lost is None:
            check_machine(config, 'train')
        else:
            with pytest.raises(UserError, match=lost):
                check_machine(config, 'train')


def coco(path, categories=('cat', 'dog'), masks=True, images=3):
    square = [[0, 0, 8, 0, 8, 8, 0, 8]]
    annotation = {'bbox': [0, 0, 8, 8], 'area': 64, 'iscrowd': 0, 'category_id': 1}
    if masks:
        annotation['segmentation'] = square
    content = {
        'images': [
            {'id': i, 'file_name': f'{i}.png', 'width': 32, 'height': 32} for i in range(images)
        ],
        'annotations': [{**annotation, 'id': i, 'image_id': i} for i in range(images)],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(categories)],
    }
    path.write_text(json.dumps(content))
    return {
        'type': 'mmaddp.CocoDataset',
        'ann_file': str(path),
        'data_prefix': {'img': str(path.parent)},
        'metainfo': {'classes': ('cat', 'dog')},
        'filter_cfg': {'filter_empty_gt': True},
        'pipeline': [
            {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        ],
    }


def draw_images(folder, count):
    for i in range(count):
        Image.new('RGB', (32, 32)).save(folder / f'{i}.png')


class TestCoco:
    @pytest.fixture(autouse=True)
    def _scope(self):
        init_default_scope('mmdet')

    def test_whole(self, tmp_path):
        draw_images(tmp_path, 3)
        assert len(GuardedDataset(coco(tmp_path / 'a.json'))) == 3

    def test_missing_images(self, tmp_path):
        config = coco(tmp_path / 'a.json')
        draw_images(tmp_path, 2)
        told = r'val_dataloader: 1 of 3 images .* such as .*/2\.png: correct data_prefix'
        with pytest.raises(UserError, match=told):
            GuardedDataset(config, 'val_dataloader')
        # Trainings may leave out some images, not all.
        assert len(SeededDataset(config, seed=0, skip_corrupt=True)) == 3
        for image in tmp_path.glob('*.png'):
            image.unlink()
        with pytest.raises(UserError, match='3 of 3 images'):
            SeededDataset(config, seed=0, skip_corrupt=True)

    def test_without_masks(self, tmp_path):
        with pytest.raises(UserError, match=r"a\.json: none .* 3 no 'segmentation'.*faster-rcnn"):
            GuardedDataset(coco(tmp_path / 'a.json', masks=False))

    def test_other_categories(self, tmp_path):
        config = coco(tmp_path / 'a.json', categories=('horse', 'dog'))
        with pytest.raises(UserError, match=r"a\.json: .*'horse'.*do not include \('cat'\)"):
            GuardedDataset(config, 'train_dataloader.dataset')

    def test_classes_without_a_comma(self, tmp_path):
        config = coco(tmp_path / 'a.json')
        config['metainfo'] = {'classes': 'cat'}
        with pytest.raises(UserError, match="'c', 'a', 't'"):
            GuardedDataset(config)

    def test_no_image_left(self, tmp_path):
        config = coco(tmp_path / 'a.json', images=0)
        with pytest.raises(UserError, match='no image is left'):
            GuardedDataset(config, 'train_dataloader.dataset')

    def test_missing_annotations(self, tmp_path):
        config = coco(tmp_path / 'a.json')
        config['ann_file'] = '/absent.json'
        with pytest.raises(UserError, match=r'/absent\.json'):
            GuardedDataset(config)

    def test_half_an_annotation_file(self, tmp_path):
        config = coco(tmp_path / 'a.json')
        whole = (tmp_path / 'a.json').read_text()
        (tmp_path / 'a.json').write_text(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r'a\.json: not a JSON file: Expecting'):
            GuardedDataset(config)


class TestDisks:
    def test_a_work_folder_that_is_a_file(self, tmp_path, config):
        (tmp_path / 'file').touch()
        for folder in (tmp_path / 'file', tmp_path / 'file' / 'below'):
            config.work_dir = str(folder)
            with pytest.raises(UserError, match=rf'^{folder}: .*is a file') as error:
                train(config)
            one_line(error)

    def test_a_full_disk(self, tmp_path, config):
        """A log can be written there, a checkpoint cannot."""
        put = LocalBackend.put

        def put_what_is_small(backend, content, path):
            if len(content) > 20_000:
                raise OSError(errno.ENOSPC, 'No space left on device')
            put(backend, content, path)

        with (
            mock.patch.object(LocalBackend, 'put', put_what_is_small),
            pytest.raises(UserError, match=rf'^{config.work_dir}: No space left .*free some space'),
        ):
            train(config)
        assert not [*tmp_path.glob('work/*.pth'), *tmp_path.glob('work/.*.tmp')]

    @pytest.mark.parametrize('code', [errno.EROFS, errno.EACCES, errno.EPERM])
    def test_a_folder_that_cannot_be_written(self, code):
        with (
            pytest.raises(UserError, match=r'^/x: .*: give another path'),
            clear_errors(),
        ):
            raise OSError(code, os.strerror(code), '/x')

    def test_other_errors_keep_their_traceback(self):
        with pytest.raises(FileNotFoundError), clear_errors():
            Path('/absent/file').read_text()

    def test_tools_say_it_in_one_line(self, capsys):
        def main():
            raise OSError(errno.ENOSPC, 'No space left on device', '/x/grid.json')

        with pytest.raises(SystemExit) as status:
            run_tool(main)
        assert status.value.code == 1
        line = 'error: /x/grid.json: No space left on device: free some space, then go on\n'
        assert capsys.readouterr().err == line


class TestTwoRunsInOneFolder:
    def test_the_second_is_refused_while_the_first_lives(self, tmp_path, config):
        marker = tmp_path / 'marker'
        child = CHILDREN.Process(target=hold_folder, args=(config.work_dir, marker))
        child.start()
        try:
            while not marker.exists():
                assert child.is_alive()
                time.sleep(0.01)
            with pytest.raises(UserError, match=f'process {child.pid} on .* trains there'):
                train(config)
        finally:
            child.kill()
            child.join()
        train(config)

    def test_only_the_first_of_several_processes_takes_the_lock(self, config, monkeypatch):
        environment = {'RANK': '1', 'WORLD_SIZE': '2', 'LOCAL_RANK': '1'}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        config.launcher, config.train_dataloader.batch_size = 'pytorch', 0
        with mock.patch('mmaddp.engine.runs.lock_folder') as lock, pytest.raises(UserError):
            train(config)
        lock.assert_not_called()

    def test_a_file_system_without_locks(self, tmp_path):
        refused = mock.patch('fcntl.lockf', side_effect=OSError(errno.ENOLCK, 'No locks available'))
        with refused, lock_folder(tmp_path / 'run'):
            assert (tmp_path / 'run').is_dir()


@pytest.mark.parametrize('name', ['file/predictions.pkl', 'predictions.json'])
def test_predictions_without_a_place_are_refused_before_the_test(config, tmp_path, name):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(UserError, match=rf'--out .*{name}: .*: (name another|give a name)'):
        write_predictions(config, str(tmp_path / name))


def test_a_training_beside_an_earlier_one_says_so(config, capsys):
    train(config)
    assert 'earlier training' not in capsys.readouterr().out
    train(config)
    assert 'epoch_1.pth is of an earlier training: this one starts' in capsys.readouterr().out


def test_epochs_without_a_batch(config):
    config.merge_from_dict({'train_dataloader.batch_size': 8, 'train_dataloader.drop_last': True})
    with pytest.raises(UserError, match=r'train_dataloader gives no batch: .*drop_last=False'):
        train(config)
    assert not list(Path(config.work_dir).glob('*.pth'))


class TestLabels:
    def test_image_label(self, config):
        config.model.head.num_classes = 2
        with pytest.raises(UserError, match=r'red\d\.png: label 2 is not in 0\.\.1 .*num_classes'):
            train(config)

    def test_semantic_map(self):
        from mmseg.structures import SegDataSample

        sample = SegDataSample(metainfo={'img_path': 'a.jpg', 'seg_map_path': 'a.png'})
        sample.gt_sem_seg = PixelData(data=torch.tensor([[[0, 255], [7, 2]]]))
        with pytest.raises(UserError, match=r'a\.png: label 7 .*0\.\.2 .*reduce_zero_label'):
            self._check(sample, num_classes=3, ignored=255)
        self._check(sample, num_classes=8, ignored=255)

    def test_boxes(self):
        from mmdet.structures import DetDataSample

        sample = DetDataSample(metainfo={'img_path': 'a.jpg'})
        sample.gt_instances = InstanceData(labels=torch.tensor([0, 3]))
        with pytest.raises(UserError, match=r'a\.jpg: label 3 .*metainfo\.classes'):
            self._check(sample, num_classes=3, ignored=-1)

    @staticmethod
    def _check(sample, num_classes, ignored):
        from mmaddp.engine import DataCheckHook

        hook = DataCheckHook()
        hook._num_classes, hook._ignored = num_classes, ignored
        batch, steps = {'data_samples': [sample]}, (hook.before_val_iter, hook.before_test_iter)
        faults = []
        for step in (hook.before_train_iter, *steps):
            try:
                step(None, 0, batch)
            except UserError as error:
                faults.append(error)
        assert len(faults) in (0, 3)
        if faults:
            raise faults[0]

    def test_range(self):
        labels = torch.tensor([0, 4, 255])
        assert out_of_range(labels, 5, ignored=255) is None
        assert out_of_range(labels, 4, ignored=255) == 4
        assert out_of_range(torch.tensor([-1]), 4, ignored=255) == -1
        assert out_of_range(labels[:0], 4, ignored=255) is None


class TestCheckpoints:
    def test_missing(self, config):
        config.load_from = 'absent.pth'
        with pytest.raises(UserError, match=r'absent\.pth does not exist'):
            run_test(config)

    def test_truncated(self, tmp_path, config):
        path = tmp_path / 'half.pth'
        torch.save({'state_dict': {'a': torch.zeros(100)}}, path)
        path.write_bytes(path.read_bytes()[:300])
        config.load_from = str(path)
        with pytest.raises(UserError, match=r'half\.pth: truncated') as error:
            run_test(config)
        one_line(error)
        with pytest.raises(UserError, match=r'half\.pth: truncated'):
            train(config, resume=str(path))

    def test_of_another_model(self):
        with pytest.raises(UserError, match='none of its 1 tensors'):
            check_weights(torch.nn.Linear(2, 2), {'other': torch.zeros(1)}, 'x.pth', False)

    def test_of_the_encoder_alone(self):
        parts = {'backbone': torch.nn.Linear(2, 2), 'head': torch.nn.Linear(2, 2)}
        model = torch.nn.ModuleDict(parts)
        weights = {'backbone.weight': torch.zeros(2, 2)}
        with pytest.raises(UserError, match=r'no weights for head .* not an encoder'):
            check_weights(model, weights, 'x.pth', True)
        check_weights(model, weights, 'x.pth', False)  # to begin a training with

    def test_of_another_size(self):
        weights = torch.nn.Linear(4, 4).state_dict()
        with pytest.raises(UserError, match=r'weight is \(4, 4\), expected \(2, 2\)'):
            check_weights(torch.nn.Linear(2, 2), weights, 'x.pth', False)

    def test_of_another_encoder(self, config, tmp_path):
        """Names that both have would be taken, and the rest left at random."""
        other = copy.deepcopy(config)
        other.model.backbone.type = 'mmaddp.DARLViT'
        other.model.backbone.pop('drop_path_rate')
        init_default_scope('mmpretrain')
        model = MODELS.build(other.model)
        torch.save({'state_dict': model.state_dict()}, tmp_path / 'darl.pth')
        config.load_from = str(tmp_path / 'darl.pth')
        with pytest.raises(UserError, match=r'darl\.pth: holds DARLViT, .* builds ADDPViT'):
            train(config)

    def test_a_new_head_is_for_training_only(self):
        model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
        weights = {**model.state_dict(), '2.weight': torch.zeros(5, 2)}
        check_weights(model, weights, 'x.pth', complete=False)
        with pytest.raises(UserError, match=r'wrong shape: 2\.weight'):
            check_weights(model, weights, 'x.pth', complete=True)
        del weights['2.weight']
        with pytest.raises(UserError, match=r'missing: 2\.weight'):
            check_weights(model, weights, 'x.pth', complete=True)

    def test_a_test_needs_all_names_on_both_sides(self):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        weights = {**model.state_dict(), 'data_preprocessor.mean': torch.zeros(3)}
        del weights['1.num_batches_tracked']
        check_weights(model, weights, 'x.pth', complete=True)
        deeper = {**weights, '2.weight': torch.zeros(2)}
        check_weights(model, deeper, 'x.pth', complete=False)
        with pytest.raises(UserError, match=r'left over: 2\.weight'):
            check_weights(model, deeper, 'x.pth', complete=True)
        del weights['1.running_mean']
        with pytest.raises(UserError, match=r'missing: 1\.running_mean'):
            check_weights(model, weights, 'x.pth', complete=True)

    @pytest.mark.parametrize('resume', [True, False])
    def test_malicious(self, tmp_path, config, resume):
        path, mark = tmp_path / 'evil.pth', tmp_path / 'executed'
        torch.save({'meta': {'iter': 1}, 'optimizer': _Touch(mark), 'state_dict': {}}, path)
        config.load_from = str(path)
        with pytest.raises(UserError, match=r'evil\.pth: refused: it asks for \w+\.mknod') as error:
            train(config, resume=str(path) if resume else None)
        one_line(error)
        assert not mark.exists()

    def test_a_config_inside_a_checkpoint_is_not_executed(self, tmp_path, config):
        mark = tmp_path / 'executed'
        train(config)
        path = tmp_path / 'work' / 'epoch_1.pth'
        checkpoint = torch.load(path, weights_only=False)
        checkpoint['meta']['config'] = f'from pathlib import Path\nPath({str(mark)!r}).touch()\n'
        torch.save(checkpoint, path)
        config.train_cfg.max_epochs = 2
        train(config, resume=str(path))
        assert not mark.exists()

    @pytest.mark.parametrize('resume', [True, False])
    def test_addresses(self, config, resume):
        address = 'https://example.org/a.pth'
        config.load_from = address
        with pytest.raises(UserError, match=r'example\.org/a\.pth'):
            train(config, resume=address if resume else None)


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mknod, (str(self.path),)


@pytest.mark.parametrize(
    ('model', 'part'),
    [
        (dict(backbone=dict(type='mmaddp.ADDPViT')), 'backbone'),
        (dict(encoder=dict(type='mmaddp.ADDPViT')), 'encoder'),
        (dict(token_predictor=dict(type='mmaddp.MAGE')), None),
    ],
)
def test_out_of_memory_names_the_part_that_can_recompute(model, part):
    config = Config(dict(model=model))
    with pytest.raises(UserError, match=r'^CUDA out of memory\. ') as error, clear_errors(config):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.\nMore of it.')
    found = re.findall(r'model\.(\w+)\.with_cp=True', one_line(error))
    assert found == ([part] if part else [])


def test_a_workers_error_is_told_in_its_own_words():
    wrapped = UserError(
        'Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most recent call '
        'last):\n  File "x.py", line 1\nmmaddp.utils.UserError: a.png is empty: mend it\n'
    )
    for error, line in ((wrapped, 'a.png is empty: mend it'), (UserError('plain'), 'plain')):
        with pytest.raises(UserError, match=f'^{line}$'), clear_errors():
            raise error
