# SPDX-License-Identifier: Apache-2.0
"""Pages of documentation whose numbers come from records: marked blocks are filled by a command.

A block begins with a line `<!-- NAME -->` and ends with a line `<!-- /NAME -->`. What stands
between is replaced; everything else of the page is written by people and stays.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.files import written_whole
from spade_eval.papers.tables import PaperTable


def fill_with_table(
    page: Path, table: PaperTable, folder: Path, lines: Sequence[str]
) -> list[Path]:
    """Put a paper's table, as `write_paper_table` left it in a folder, into its block of a page.

    The figure and the CSV file are copied beside the page; `lines` follow the table.
    """
    name = table.stem
    require_block(page, name)  # refused before anything is copied
    copies = []
    for ending in ("png", "csv"):
        source = folder / f"{name}.{ending}"
        if source.is_file():
            copies.append(_copied(source, page.with_name(f"{page.stem}-{name}.{ending}")))
    pictures = [f"![{table.name}]({path.name})\n" for path in copies if path.suffix == ".png"]
    files = [f"- the same at full precision: [{path.name}]({path.name})"
             for path in copies if path.suffix == ".csv"]  # fmt: skip
    text = (folder / f"{name}.md").read_text(encoding="utf-8").strip()
    said = [f"- {line}" for line in lines]
    return [fill_page(page, name, "\n".join([*pictures, text, *files, *said])), *copies]


def fill_with_scores(page: Path, text: str, csv: Path, lines: Sequence[str]) -> list[Path]:
    """Put the printed scores of a run into the block `scores` of a page, then `lines`.

    Its CSV file with every digit and the provenance of each row is copied beside the page.
    """
    _block(page, "scores")
    copy = _copied(csv, page.with_name(f"{page.stem}-scores.csv"))
    said = [f"- {line}" for line in (*lines, f"every digit: [{copy.name}]({copy.name})")]
    block = "\n".join(["```text", text, "```", "", *said])
    return [fill_page(page, "scores", block), copy]


def fill_with_figure(page: Path, picture: Path, lines: Sequence[str]) -> list[Path]:
    """Put a figure and its numbers into the block of the picture's name; the picture is copied."""
    name = picture.stem
    require_block(page, name)
    copy = _copied(picture, page.with_name(f"{page.stem}-{picture.name}"))
    said = [f"- {line}" for line in lines]
    return [fill_page(page, name, "\n".join([f"![{name}]({copy.name})\n", *said])), copy]


def fill_with_leaderboard(
    page: Path, block: str, written: Sequence[Path], lines: Sequence[str]
) -> list[Path]:
    """Put the leaderboards among the files that `write_merged_report` wrote into a block."""
    boards = [path for path in written if path.name == "leaderboard.md"]
    text = "\n\n".join(path.read_text(encoding="utf-8").strip() for path in boards)
    return [fill_page(page, block, "\n".join([text, "", *(f"- {line}" for line in lines)]))]


def fill_page(page: Path, name: str, text: str) -> Path:
    """Put `text` into the block of that name; `UserError` for a page without it."""
    before, start, end = _block(page, name)
    with written_whole(page) as temporary:
        filled = f"{before[:start]}\n{text.strip()}\n{before[end:]}"
        temporary.write_text(filled, encoding="utf-8")
    return page


def require_block(page: Path, name: str) -> None:
    """Refuse a page without the block of that name, before what would fill it is computed."""
    _block(page, name)


def has_block(page: Path, name: str) -> bool:
    """Return whether a page has the block of that name."""
    return page.is_file() and f"\n<!-- {name} -->\n" in page.read_text(encoding="utf-8")


def _block(page: Path, name: str) -> tuple[str, int, int]:
    """Return the page, and where the content of its block begins and ends."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not page.is_file():
        raise UserError(f"--into {page}: no such file; expected a page with a block {begin}")
    text = page.read_text(encoding="utf-8")
    pattern = rf"^{re.escape(begin)}$(.*?)^{re.escape(end)}$"
    blocks = list(re.finditer(pattern, text, re.DOTALL | re.MULTILINE))
    if len(blocks) != 1:
        raise UserError(
            f"--into {page}: expected exactly one block that begins with a line {begin} and ends "
            f"with a line {end}; write both where the table is to stand"
        )
    return text, *blocks[0].span(1)


def _copied(source: Path, target: Path) -> Path:
    with written_whole(target) as temporary:
        shutil.copyfile(source, temporary)
    return target
