"""What every page is made of: a frame, a style, a policy that lets nothing else in, a file."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pncviz._version import __version__
from pncviz.dataset.atomic import check_folder, replacing
from pncviz.exceptions import ParameterError

__all__ = ["Sheet", "checked_title", "environment", "page_text", "render"]

_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Sheet:
    """A page that can be saved, and that shows itself in a notebook, in a frame of its own.

    Parameters
    ----------
    html : str
        The whole page.

    Examples
    --------
    >>> Sheet("<!doctype html>").html
    '<!doctype html>'
    """

    html: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page: afterwards there is the new one, whole, or the old one.

        Parameters
        ----------
        path : path-like
            Ends in ``.html``.

        Returns
        -------
        Path
            ``path``.

        Raises
        ------
        ParameterError
            ``path`` does not end in ``.html``.
        ResultError
            Nothing can be written there.
        """
        target = Path(path)
        if target.suffix.lower() not in _SUFFIXES:
            raise ParameterError(f"`path` must end in .html, got {str(target)!r}.")
        check_folder(Path(os.path.realpath(target)))
        with replacing(target) as temporary:
            temporary.write_text(self.html, encoding="utf-8", newline="\n")
        return target

    def _repr_html_(self) -> str:
        # A frame of its own: the notebook's styles and the page's script do not meet.
        return (
            '<iframe sandbox="allow-scripts" title="pncviz report" width="100%" height="800" '
            f'style="border:1px solid #8888" srcdoc="{escape(self.html)}"></iframe>'
        )


def checked_title(title: str | None) -> str | None:
    """Give the title back.

    Raises
    ------
    ParameterError
        It is neither a string nor None.
    """
    if title is not None and not isinstance(title, str):
        raise ParameterError(f"`title` must be a string, got {type(title).__name__}.")
    return title


def render(template: jinja2.Template, *, style: str = "", script: str = "", **values: Any) -> str:
    """Fill a template that extends ``base.html``.

    Parameters
    ----------
    template : jinja2.Template
        Of :func:`environment`.
    style : str, default=""
        What the page adds to ``page.css``; a style sheet of ours, never from a result.
    script : str, default=""
        Likewise; without one the page's policy forbids all scripts.
    **values
        What the template shows; strings are escaped.

    Returns
    -------
    str
        The whole page.
    """
    styles, scripts = Markup(page_text("page.css") + style), Markup(script)
    software = page_text("pncviz.bib").replace("VERSION", __version__)
    return template.render(
        policy=_policy(styles, scripts),
        style=styles,
        script=scripts,
        version=__version__,
        cite=[software, page_text("dough2020.bib")],
        **values,
    )


@cache
def page_text(name: str) -> str:
    """Read a template, a style sheet or a script that comes with pncviz."""
    return (files("pncviz.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def environment() -> jinja2.Environment:
    """Give the environment of all our templates, in which everything is escaped."""
    # Escaping goes by this switch and not by file names, of which some would escape it.
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(page_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _policy(style: str, script: str) -> str:
    """Allow this page's style and script by their sums, its own images, and nothing else."""
    sums = [
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        for text in (style, script)
    ]
    scripts = f"'sha256-{sums[1]}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{sums[0]}'; "
        f"script-src {scripts}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )
