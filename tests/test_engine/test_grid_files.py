"""Variants of grid files: one config, and what each variant changes in it."""

import pytest
from scripts import load_script

from mmaddp.engine.runs import load_config
from mmaddp.utils import UserError


@pytest.fixture
def grid(tmp_path):
    (tmp_path / 'base.py').write_text('optim_wrapper = dict(optimizer=dict(type="SGD", lr=1))')
    (tmp_path / 'grids').mkdir()
    (tmp_path / 'grids/lr.py').write_text(
        "config = '../base.py'\n"
        "variants = {'slow': {'optim_wrapper.optimizer.lr': 0.1}, 'as-it-is': {}}\n"
    )
    return tmp_path / 'grids/lr.py'


def test_a_variant_changes_the_config(grid):
    assert load_config(grid, variant='slow').optim_wrapper.optimizer.lr == 0.1
    assert load_config(grid, variant='as-it-is').optim_wrapper.optimizer.lr == 1
    # The command line has the last word.
    options = {'optim_wrapper.optimizer.lr': 3}
    assert load_config(grid, options, 'slow').optim_wrapper.optimizer.lr == 3


@pytest.mark.parametrize('name', ['fast', None])
def test_an_unknown_variant_lists_those_that_exist(grid, name):
    with pytest.raises(
        UserError, match=rf"lr\.py: --variant={name!r} is none of 'slow', 'as-it-is'"
    ):
        load_config(grid, variant=name)


def test_a_config_has_no_variants(grid):
    with pytest.raises(
        UserError, match=r"base\.py: --variant='slow' is none of \(there are none\)"
    ):
        load_config(grid.parents[1] / 'base.py', variant='slow')


def test_tools_take_a_variant(grid, repository, capsys):
    tool = load_script(repository / 'tools/analysis_tools/print_config.py')
    tool.main([str(grid), '--variant', 'slow'])
    assert 'lr=0.1' in capsys.readouterr().out


def test_each_variant_has_a_work_folder(grid, repository):
    from mmaddp.engine.runs import prepare_run

    args = load_script(repository / 'tools/train.py').parse_arguments(
        [str(grid), '--variant', 'slow']
    )
    config = prepare_run(load_config(args.config, args.cfg_options, args.variant), args)
    assert config.work_dir == 'work_dirs/lr/slow'
