# SPDX-License-Identifier: Apache-2.0
"""The painting page as text: names escaped, its policy, and its own place alone."""

import base64
import hashlib
import re
from typing import Any

import pytest

from spade_eval.reports.html.painting import PORT, painting_page

HOSTILE = "</script><script>alert(1)</script>"
FACTS: dict[str, Any] = {
    "dataset": f"{HOSTILE} val",
    "height": 32,
    "width": 64,
    "classes": [[HOSTILE, [1, 2, 3]]],
    "hasUnlabelled": True,
    "names": [HOSTILE],
    "models": [{"title": HOSTILE, "photos": "any", "isDrawn": True, "hasEdges": False}],
    "segmenter": None,
}


@pytest.fixture(scope="module")
def page() -> str:
    return painting_page(FACTS)[0]


def test_names_are_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert "alert(1)" in page
    assert page.count("<script") == 2  # its data and its script


def test_the_policy_lets_its_own_files_run_and_its_own_server_be_asked(page: str) -> None:
    _, policy = painting_page(FACTS)
    assert policy in page.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "connect-src 'self'" in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_nothing_else_is_named(page: str) -> None:
    assert not re.findall(r"https?:", page)
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "#main"]


def test_reports_link_to_where_it_is_served() -> None:
    assert PORT == 8417
