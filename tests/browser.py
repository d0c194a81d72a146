"""A real Chromium, and what goes wrong on a page that it shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PATIENCE = 30_000
"""Milliseconds, on a busy machine."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser until the block ends: Debian's, for none is downloaded."""
    path = needs.program("chromium", "chromium")
    needs.module("playwright")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - what is not needed may be missing

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # which Chromium refuses to have for root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a tab, in which nothing may go wrong: no error, and nothing that the page's own policy forbids."""
    wrong: list[str] = []
    with page_that_may_fail(browser, **options) as tab:
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("dialog", lambda dialog: wrong.append(dialog.message))
        yield tab
        assert not wrong, wrong


@contextmanager
def page_that_may_fail(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a tab."""
    context = browser.new_context(**options)
    context.set_default_timeout(_PATIENCE)
    try:
        yield context.new_page()
    finally:
        context.close()
