"""What all pages share: one self-contained HTML document with the style inside, and charts as captioned figures."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources


def html_page(title: str, sections: Iterable[str], *, script: str = "") -> str:
    """The whole document; `title` is text, `sections` are HTML. It asks for nothing from the network."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style><body>{''.join(sections)}{code}</body></html>"
    )


def chart_grid(charts: Mapping[str, str]) -> str:
    """Caption -> SVG, as figures beside each other."""
    figures = (f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>" for name, chart in charts.items())
    return f'<div class="charts">{"".join(figures)}</div>'
