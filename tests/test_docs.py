"""Pages name files that exist."""

import re

import pytest

LINK = re.compile(r'\]\(([^)#\s]+)(?:#[^)]*)?\)')
FILE = re.compile(r'(?<![\w/])((?:configs|tools|benchmarks)/[\w./-]+\.(?:py|sh))')
PLACEHOLDER = ('CONFIG.py', 'PROTOCOL.py')


def pages(repository):
    folders = [repository.glob('*.md'), (repository / 'notebooks').glob('*.ipynb')]
    folders += [(repository / name).rglob('*.md') for name in ('docs', 'configs')]
    return [page for folder in folders for page in folder]


@pytest.mark.parametrize('pattern', [LINK, FILE], ids=['links', 'files of commands'])
def test_every_name_is_that_of_a_file(repository, pattern):
    lost = [
        f'{page.relative_to(repository)}: {name}'
        for page in pages(repository)
        for name in pattern.findall(page.read_text())
        if '://' not in name
        and not name.endswith(PLACEHOLDER)
        and not any((folder / name).exists() for folder in (page.parent, repository))
    ]
    assert lost == []
