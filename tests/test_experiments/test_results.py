"""Results folders: what they refuse, what they keep, and that processes share them."""

import json
from multiprocessing import get_context

import pytest

from mmaddp.experiments.results import ResultsFolder, digest, markdown_table
from mmaddp.utils import UserError, write_json


def test_results_are_there_again(tmp_path):
    ResultsFolder(tmp_path, {'seed': 0}).add('b', {'top1': 1.5})
    folder = ResultsFolder(tmp_path, {'seed': 0})
    folder.add('a', 2)
    assert 'b' in folder
    assert 'c' not in folder
    assert folder['b'] == {'top1': 1.5}
    assert folder.get('c') is None
    # In the order of their coming; one that comes again keeps its position.
    folder.add('b', {'top1': 3.0})
    assert list(folder.results.items()) == [('b', {'top1': 3.0}), ('a', 2)]


def test_another_identity_is_refused_and_nothing_changes(tmp_path):
    ResultsFolder(tmp_path, {'seed': 0, 'weights': digest('a'), 'size': (1, 2)}).add('a', 1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.json')}
    other = {'seed': 1, 'weights': digest('b'), 'size': [1, 2]}
    with pytest.raises(UserError, match=r'results of seed 0, not 1, another weights: give another'):
        ResultsFolder(tmp_path, other)
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.json')} == before
    folder = ResultsFolder(tmp_path, other, fresh=True)
    assert folder.results == {}
    assert json.loads((tmp_path / 'settings.json').read_text()) == other


def test_the_identity_may_grow(tmp_path):
    folder = ResultsFolder(tmp_path, {'seed': 0})
    folder.agree({'lr': 1})
    folder.agree({'lr': 2}, replace=True)
    with pytest.raises(UserError, match='lr 2, not 1'):
        folder.agree({'lr': 1})
    folder.agree({'lr': 1}, replace=True)
    with pytest.raises(UserError, match='lr 1, not 2'):
        ResultsFolder(tmp_path, {'seed': 0, 'lr': 2})


def test_a_file_of_something_else_is_refused(tmp_path):
    write_json(tmp_path / 'results.json', [])
    with pytest.raises(UserError, match=r'results\.json: not a results file'):
        ResultsFolder(tmp_path).add('a', 1)


def test_a_key_belongs_to_one_process(tmp_path):
    first, second = (ResultsFolder(tmp_path) for _ in range(2))
    with first.claim('a/1') as mine:
        assert mine
        with second.claim('a/1') as also_mine, second.claim('a/2') as other:
            assert not also_mine
            assert other
    with second.claim('a/1') as free_again:
        assert free_again


def add_many(path, name):
    folder = ResultsFolder(path, {'seed': 0})
    for number in range(20):
        folder.add(f'{name}{number}', number)


def test_processes_lose_nothing_of_each_other(tmp_path):
    context = get_context('fork')
    processes = [context.Process(target=add_many, args=(tmp_path, name)) for name in 'ab']
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(ResultsFolder(tmp_path, {'seed': 0}).results) == 40


def test_a_digest_is_of_the_settings_not_of_their_order():
    assert digest({'a': 1, 'b': (2,)}) == digest({'b': [2], 'a': 1}) != digest({'a': 1})


def test_a_table_is_markdown_and_aligned():
    table = markdown_table(['name', 'x'], [['a', 0.123456], ['long name', None]])
    assert table.splitlines() == [
        '| name      | x      |',
        '| --------- | ------ |',
        '| a         | 0.1235 |',
        '| long name | -      |',
    ]
