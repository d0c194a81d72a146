"""gangplank 0.5.0, loaded beside ours."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

NAME = "gangplank 0.5.0"
_PACKAGE = "gangplank==0.5.0"


@functools.cache
def load(module: str, folder: Path | None) -> ModuleType:
    """Return a module of gangplank 0.5.0, under a name that leaves ours in peace.

    Args:
        module: Its name within the package.
        folder: Where its package ``gangplank`` lies. By default it is fetched from PyPI.
    """
    with tempfile.TemporaryDirectory() as fetched:
        if folder is None:
            folder = Path(fetched)
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*install, "--target", fetched, _PACKAGE], check=True)  # noqa: S603 - pip
        source = folder / "gangplank" / f"{module}.py"
        spec = importlib.util.spec_from_file_location(f"predecessor_{module}", source)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{source} is no Python module")
        loaded = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return loaded
