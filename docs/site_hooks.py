"""MkDocs' hooks: the README, the configs' READMEs, the notebooks and the docstrings as pages."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# A Markdown link or image whose target is a path.
LINK = re.compile(r'(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    configs = [{folder_title(path): site_path(path)} for path in config_readmes()]
    api = [{name: f'api/{name}.md'} for name in rooms()]
    config.nav = [*config.nav, {'Configs': configs}, {'API': api}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not stand in ``docs``, and the files that pages link to."""
    for path in [Path('README.md'), *config_readmes()]:
        text = (ROOT / path).read_text(encoding='utf-8')
        files.append(File.generated(config, site_path(path), content=text))
    for path in sorted((ROOT / 'notebooks').glob('*.ipynb')):
        name = site_path(path.relative_to(ROOT))
        files.append(File.generated(config, name, content=notebook_page(path)))
    for name, modules in rooms().items():
        text = '\n\n'.join([f'# mmaddp.{name}', *(f'::: {module}' for module in modules)])
        files.append(File.generated(config, f'api/{name}.md', content=text))
    for page in list(files.documentation_pages()):
        for _, _, target, _ in LINK.findall(page.content_string):
            path = repository_path(page, target)
            uri = f'source/{path.as_posix()}.txt'
            wanted = (ROOT / path).is_file() and is_source(path)
            if wanted and files.get_file_from_path(uri) is None:
                content = (ROOT / path).read_text(encoding='utf-8')
                files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository point to their pages."""

    def rewrite(match: re.Match) -> str:
        image, text, target, anchor = match.groups()
        path = repository_path(page.file, target)
        uri = f'source/{path.as_posix()}.txt' if is_source(path) else site_path(path)
        if (ROOT / path / 'README.md').is_file():
            uri = site_path(path / 'README.md')
        elif (ROOT / path).is_dir():
            return f'`{path.as_posix()}`' if text == path.as_posix() else f'{text} (`{path}`)'
        start = posixpath.dirname(page.file.src_uri) or '.'
        return f'{image}[{text}]({posixpath.relpath(uri, start)}{anchor or ""})'

    return LINK.sub(rewrite, markdown)


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: its prose, its code, and what the code has printed and drawn."""
    parts = []
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        parts.append(source if cell['cell_type'] == 'markdown' else f'```python\n{source}\n```')
        parts += map(output_text, cell.get('outputs', []))
    return '\n\n'.join(parts)


def output_text(output: dict) -> str:
    """A picture or the text of a cell's output."""
    data = output.get('data', {})
    if 'image/png' in data:
        picture = ''.join(data['image/png']).replace('\n', '')
        return f'<img alt="output" src="data:image/png;base64,{picture}">'
    text = ''.join(output.get('text', data.get('text/plain', [])))
    return f'```text\n{text}\n```'


def config_readmes() -> list[Path]:
    """The READMEs of the configs, from the root of the repository."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / 'configs').rglob('README.md'))


def folder_title(path: Path) -> str:
    """A README's name in the navigation."""
    return path.parent.relative_to('configs').as_posix()


def rooms() -> dict[str, list[str]]:
    """The modules of each package of the API by the package's name."""
    names = ['apis', 'checkpoints', 'datasets', 'diffusion', 'engine', 'evaluation', 'experiments']
    found = {name: modules(ROOT / 'mmaddp' / name) for name in [*names, 'export']}
    for folder in sorted((ROOT / 'mmaddp/models').iterdir()):
        if (folder / '__init__.py').is_file():
            found[f'models.{folder.name}'] = modules(folder)
    return found


def modules(folder: Path) -> list[str]:
    """Dotted names of a package's modules."""
    paths = sorted(path for path in folder.rglob('*.py') if not path.name.startswith('_'))
    return ['.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in paths]


def repository_path(file: File, target: str) -> Path:
    """The path, from the root of the repository, of a link in a page."""
    source = file.src_uri
    if source == 'index.md':
        folder = ''
    elif source.startswith(('configs/', 'notebooks/')):
        folder = posixpath.dirname(source)
    else:
        folder = posixpath.join('docs', posixpath.dirname(source))
    return Path(posixpath.normpath(posixpath.join(folder, target)))


def is_source(path: Path) -> bool:
    """Whether a file is no page of the site and no image of a page."""
    return path.parts[0] != 'docs' and path.suffix not in ('.md', '.ipynb')


def site_path(path: Path) -> str:
    """Where a file of the repository is in the site."""
    if path == Path('README.md'):
        return 'index.md'
    if path.parts[0] == 'docs':
        return path.relative_to('docs').as_posix()
    return path.as_posix().replace('README.md', 'index.md').replace('.ipynb', '.md')
