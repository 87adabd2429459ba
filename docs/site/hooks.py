"""What the site needs beyond the pages: links that leave the folder, lists below a line of text, the reference in full."""

import posixpath
import re

from mkdocs.exceptions import PluginError

_NAME = re.compile(r"^\| `(jaxtbe[\w.]*)` \|", re.MULTILINE)
_ITEM = re.compile(r"(\*|-|\d+\.) ")
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#]*)(#[^)]*)?\)")


def on_page_markdown(markdown, page, config, files):
    """Points links that leave docs/ to the repository, and puts every name of the reference below its table."""
    if page.file.src_uri == "reference.md":
        blocks = "\n".join(f"::: {name}\n" for name in _NAME.findall(markdown))
        markdown = f"{markdown}\n## In full\n\n{blocks}"
    return _part_lists(_LINK.sub(lambda link: _outside(link, config), markdown))


def on_page_content(html, page, config, files):
    """Fails the build if a name of the reference was not rendered."""
    if page.file.src_uri == "reference.md":
        names = re.findall(r"<td><code>(jaxtbe[\w.]*)</code></td>", html)
        missing = [name for name in names if f'id="{name}"' not in html]
        if missing or not names:
            raise PluginError(f"reference.md: these names were not rendered: {missing}")
    return html


def _part_lists(markdown):
    """An empty line before each list that follows a line of text: the site's Markdown wants one, the repository's does not."""
    lines, fenced, before = [], False, ""
    for line in markdown.split("\n"):
        fenced ^= line.startswith("```")
        if not fenced and _ITEM.match(line) and before.strip() and not _ITEM.match(before) and before[0] != " ":
            lines.append("")
        lines.append(line)
        before = line
    return "\n".join(lines)


def _outside(link, config):
    """A link to a file of the repository, where the site knows one; else the file's name."""
    text, path = link.group(1), posixpath.normpath(link.group(2)).removeprefix("../")
    if config.repo_url:
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path})"
    return text if "`" in text or text == path else f"{text} (`{path}`)"
