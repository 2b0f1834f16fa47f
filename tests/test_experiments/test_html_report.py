import base64
import re

import numpy as np

from mmaddp.experiments.html_report import HtmlReport
from mmaddp.experiments.images import write_png
from mmaddp.experiments.logs import plot_curves


def test_the_page_holds_everything_in_its_order_and_needs_no_other_file(tmp_path):
    image = tmp_path / 'noise.png'
    write_png(image, np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8))
    page = HtmlReport('A <page>')
    page.heading('Curves & images')
    page.table(['run', 'AP'], [['a<b', 0.5]])
    page.image(image, 'Noise')
    page.image(plot_curves({'run': [dict(step=1, loss=2.0)]}, ['loss']), 'Loss')
    page.write(tmp_path / 'page.html')
    text = (tmp_path / 'page.html').read_text()
    order = [text.index(part) for part in ('A &lt;page&gt;', 'Curves &amp;', 'a&lt;b', 'Noise')]
    assert order == sorted(order)
    sources = re.findall(r'src="(.*?)"', text)
    assert len(sources) == 2
    first, second = (base64.b64decode(source.split('base64,')[1]) for source in sources)
    assert first == image.read_bytes()
    assert second.startswith(b'\x89PNG')
