"""What the site needs beside docs/: links out of it lead to the repository."""

import os
import re

from mkdocs.structure.files import File

REPOSITORY = "https://github.com/stompbox/stompbox/blob/main/"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
LINK = re.compile(r"\]\(\.\./([^)]+)\)")


def on_files(files, config):
    icon = os.path.join(ROOT, "internal/console/static/icon.svg")
    files.append(File.generated(config, "assets/icon.svg", abs_src_path=icon))
    mermaid = os.path.join(ROOT, "site/mermaid.min.js")
    files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=mermaid))
    return files


def on_page_markdown(markdown, page, config, files):
    for path in LINK.findall(markdown):
        if not os.path.exists(os.path.join(ROOT, path.partition("#")[0])):
            raise ValueError(f"{page.file.src_path} links to ../{path}, which is not there")
    return LINK.sub(lambda m: f"]({REPOSITORY}{m.group(1)})", markdown)


def on_post_page(output, page, config):
    """Loads Mermaid where there are pictures: it is large."""
    if '<pre class="mermaid">' not in output:
        return output
    script = page.url and "../" * (page.url.count("/")) or ""
    return output.replace("</head>", f'<script src="{script}assets/mermaid.min.js"></script></head>')
