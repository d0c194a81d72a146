"""Writes docs/images/watch.svg, of a watch of the demo while it trains: python docs/make_watch_picture.py."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from gangplank.watch.address import settings_for
from gangplank.watch.source import Source
from gangplank.watch.terminal import Watch

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).parent / "images" / "watch.svg"
PORT, EPOCHS, SEEN = 9464, 14, 12
SIZE = (100, 30)
_PAUSE, _PATIENCE = 0.25, 600
_WEB_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


async def picture() -> str:
    """Return the picture, of a run of which most is over."""
    source = Source(settings_for(f"127.0.0.1:{PORT}"), since=60, interval=_PAUSE)
    app = Watch(source, source.url, interval=_PAUSE)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(_PATIENCE):
            await pilot.pause(_PAUSE)
            subject = app.selection.subject
            if subject is not None and (subject.value("gangplank_train_epochs_count") or 0) >= SEEN:
                return _WEB_FONTS.sub("", app.export_screenshot(title="gangplank watch"))
    sys.exit("the demo did not come that far")


def main() -> None:
    """Run the demo, and write the picture."""
    command = [sys.executable, str(ROOT / "examples/demo/demo.py"), "--epochs", str(EPOCHS), "--port", str(PORT)]
    demo = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    try:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(asyncio.run(picture()), encoding="utf-8")
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    main()
