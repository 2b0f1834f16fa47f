import pytest

from mmaddp.datasets.imagenet_variants import SEVERITIES
from mmaddp.evaluation import ALEXNET_ERRORS, summarize
from mmaddp.experiments.robustness import format_table


def part(top1, images=50000, classes=1000):
    return {'top1': top1, 'images': images, 'classes': classes}


def alexnet_parts():
    return {
        f'imagenet-c/{c}/{s}': part(100 - error)
        for c, error in ALEXNET_ERRORS.items()
        for s in SEVERITIES
    }


def test_table_of_alexnet():
    parts = {'imagenet-a': part(1.77, 7500, 200), **alexnet_parts()}
    lines = format_table(summarize(parts)).splitlines()
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    assert ['imagenet-a', '7500', '1.77', '98.23', '-'] in cells
    assert ['fog', '250000', '18.07', '81.93', '100.00'] in cells
    assert cells[-1][1:] == ['3750000', '21.10', '78.90', '100.00']


def test_incomplete_corruptions_give_no_mce_and_a_note():
    parts = alexnet_parts()
    for severity in SEVERITIES:
        del parts[f'imagenet-c/fog/{severity}']
    del parts['imagenet-c/snow/4']
    summary = summarize(parts)
    assert summary['imagenet-c']['mce'] is None
    assert summary['imagenet-c']['corruptions']['frost']['ce'] == pytest.approx(100)
    assert summary['imagenet-c']['corruptions']['snow']['ce'] is None
    note = format_table(summary).splitlines()[-1]
    assert note.startswith('note: imagenet-c: no mCE')
    assert note.endswith('missing: snow (severity 4), fog')


def test_missing_classes_are_noted():
    table = format_table(summarize({'imagenet-r': part(30.0, 29000, 199)}))
    assert 'note: imagenet-r: images for 199 of its 200 classes only' in table
