"""Pictures on an HTML page: the legend that stays in sight, strips of pictures, and whole pages of both."""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from pgkt_jax.report.figures import LEFT_COLOR, RIGHT_COLOR
from pgkt_jax.report.html import write_html

Color = np.ndarray | tuple[int, int, int]
"""Red, green, blue, 0..255 each."""


@dataclass(frozen=True)
class GalleryRow:
    """Pictures of one person, side by side: (caption, uint8[H, W, 3] RGB) each."""

    title: str
    pictures: Sequence[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Chapter:
    """A heading, what is to be seen, and the pictures: (caption, uint8[H, W, 3] RGB) each.

    The first line of a caption, as far as a line break, is its title.
    """

    title: str
    text: str
    pictures: Sequence[tuple[str, np.ndarray]]


def write_chapters(
    path: str | os.PathLike[str],
    *,
    title: str,
    lead: str,
    colors: Iterable[tuple[str, Color]],
    chapters: Sequence[Chapter],
) -> None:
    """Write a page of pictures under headings, all of it or nothing.

    Args:
        path: of the HTML file; its folder is made, an older file replaced.
        title: of the page.
        lead: what the page shows; a blank line starts a paragraph.
        colors: what the legend explains, besides the sides' limbs.
        chapters: in their order; their pictures flow over as many lines as the screen needs.

    Raises:
        ValueError: a picture is not uint8[H, W, 3].
    """
    body = [
        f"<header><h1>{escape(title)}</h1>{paragraphs(lead, 'lead')}</header>",
        legend(colors),
        *(
            f"<section><h2>{escape(chapter.title)}</h2>{paragraphs(chapter.text, 'hint')}"
            f'<div class="flow">{_figures(chapter.title, chapter.pictures)}</div></section>'
            for chapter in chapters
        ),
    ]
    write_html(path, title, body)


def paragraphs(text: str, kind: str) -> str:
    """The text in paragraphs of a class of the style; a blank line separates two."""
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    return "".join(f'<p class="{kind}">{escape(part)}</p>' for part in parts)


def legend(colors: Iterable[tuple[str, Color]]) -> str:
    """Names beside their colours, then those of left and right limbs; stays at the top of the window."""
    items = [f"<li>{swatch(color)}{escape(name)}</li>" for name, color in colors]
    items += [
        f'<li class="stick">{swatch(color)}{side} limb</li>'
        for side, color in (("left", LEFT_COLOR), ("right", RIGHT_COLOR))
    ]
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>'


def swatch(color: Color) -> str:
    """A small field of a colour."""
    red, green, blue = map(int, color)
    return f'<i style="background:rgb({red},{green},{blue})"></i>'


def gallery_row(row: GalleryRow) -> str:
    """The pictures of one person in one line, which scrolls where it is wider than the page."""
    return (
        f'<article><h3>{escape(row.title)}</h3><div class="strip scroll" tabindex="0" role="region" '
        f'aria-label="{escape(row.title)}">{_figures(row.title, row.pictures)}</div></article>'
    )


def _figures(title: str, pictures: Iterable[tuple[str, np.ndarray]]) -> str:
    return "".join(
        f'<figure><img alt="{escape(title)}: {escape(" ".join(caption.split()))}" src="{_data_url(picture)}">'
        f"<figcaption>{_caption(caption)}</figcaption></figure>"
        for caption, picture in pictures
    )


def _caption(text: str) -> str:
    first, line_break, rest = text.partition("\n")
    return f"<b>{escape(first)}</b><br>{escape(rest)}" if line_break else escape(first)


def _data_url(picture: np.ndarray) -> str:
    """The picture inside its own address: PNG for flat colours, JPEG where that is smaller."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise ValueError(f"a picture must be uint8[H, W, 3], not {picture.dtype}{list(picture.shape)}")
    bgr = np.ascontiguousarray(picture[..., ::-1])
    png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    kind, data = ("png", png) if len(png) <= len(jpeg) else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
