# SPDX-License-Identifier: Apache-2.0
"""Grid of samples: a row a scene, a column a source, pixels enlarged by whole factors only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from spade_eval.errors import UserError
from spade_eval.files import written_whole

MAX_ROWS = 8
_SMALLEST_CELL = 160  # pixels; smaller images are enlarged to at least this width
_GAP = 6
_INK, _PAPER, _MISSING = (34, 34, 34), (255, 255, 255), (232, 232, 232)
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def samples_grid(columns: Mapping[str, Sequence[Path]], path: Path, caption: str) -> Path:
    """Write a PNG of the first 8 images of each column; item i of every column is scene i.

    Images are enlarged by nearest neighbour, never blurred or shrunk. A path without a file leaves
    a grey cell; an image that cannot be decoded is a `UserError` naming it.
    """
    if not any(columns.values()):
        raise ValueError("samples_grid needs at least one column with one image")
    num_rows = min(MAX_ROWS, max(map(len, columns.values())))
    images = {
        title: [_opened(item) for item in items[:num_rows]] for title, items in columns.items()
    }
    cell = _cell_size([image for items in images.values() for image in items if image is not None])
    page_width = _GAP + len(columns) * (cell[0] + _GAP)
    # Type grows with the page, because a page wider than the screen is seen shrunk.
    title_size, caption_size = max(17, cell[0] // 16), max(14, page_width // 110)
    title_font = ImageFont.load_default(size=title_size)
    caption_font = ImageFont.load_default(size=caption_size)
    caption_pitch = round(1.36 * caption_size)
    titles = [_wrapped(title, title_font, cell[0], max_lines=2) for title in columns]
    caption_lines = _wrapped(caption, caption_font, page_width - 2 * _GAP, max_lines=12)
    head = round(1.3 * title_size) * max(map(len, titles)) + 2 * _GAP
    body = num_rows * (cell[1] + _GAP)
    page = Image.new(
        "RGB", (page_width, head + body + caption_pitch * len(caption_lines) + _GAP), _PAPER
    )
    draw = ImageDraw.Draw(page)
    for place, (lines, items) in enumerate(zip(titles, images.values(), strict=True)):
        left = _GAP + place * (cell[0] + _GAP)
        bottom_of_titles = (left + cell[0] // 2, head - _GAP)
        draw.multiline_text(
            bottom_of_titles, "\n".join(lines), _INK, title_font, anchor="md", align="center"
        )
        for row in range(num_rows):
            image = items[row] if row < len(items) else None
            _paste(page, image, (left, head + row * (cell[1] + _GAP)), cell)
    for number, line in enumerate(caption_lines):
        draw.text((_GAP, head + body + caption_pitch * number), line, _INK, caption_font)
    with written_whole(path) as temporary:
        page.save(temporary, format="PNG")
    return path


def _opened(path: Path) -> Image.Image | None:
    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: cannot be decoded as an image ({error}); expected the PNG that the run "
            "wrote: delete the file and repeat the command"
        ) from error


def _cell_size(images: Sequence[Image.Image]) -> tuple[int, int]:
    """(width, height) that holds every image after its enlargement."""
    if not images:
        return _SMALLEST_CELL, _SMALLEST_CELL
    width, height = max(image.width for image in images), max(image.height for image in images)
    factor = -(-_SMALLEST_CELL // width)
    return factor * width, factor * height


def _paste(
    page: Image.Image, image: Image.Image | None, corner: tuple[int, int], cell: tuple[int, int]
) -> None:
    left, top = corner
    if image is None:
        page.paste(_MISSING, (left, top, left + cell[0], top + cell[1]))
        return
    factor = min(cell[0] // image.width, cell[1] // image.height)
    enlarged = image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
    page.paste(
        enlarged, (left + (cell[0] - enlarged.width) // 2, top + (cell[1] - enlarged.height) // 2)
    )


def _wrapped(text: str, font: _Font, width: int, max_lines: int) -> list[str]:
    """Lines that fit `width` pixels, broken at spaces where possible, cut short with "..."."""
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < max_lines:
        fitting = len(rest)
        while fitting > 1 and font.getlength(rest[:fitting]) > width:
            fitting -= 1
        space = rest.rfind(" ", 0, fitting + 1) if fitting < len(rest) else -1
        end = space if space > 0 else fitting
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        last = lines[-1]
        while len(last) > 1 and font.getlength(last + "...") > width:
            last = last[:-1]
        lines[-1] = last + "..."
    return lines
