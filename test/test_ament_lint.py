# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS 2's linters, run by `colcon test` where they are installed. `make lint` runs ruff, mypy and import-linter."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [str(ROOT / name) for name in ("bisenet_ros", "training", "demo", "launch", "test", "setup.py")]
NOT_CHECKED = [
    *(f"D10{digit}" for digit in range(8)),  # a docstring for everything: ament does not ask for it either
    *("D205", "D212", "D415"),  # the docstring of an `__init__` begins with "Args:"
    "D403",  # a first word such as "uint8"
    "D417",  # arguments that their name and type explain
]
pytestmark = pytest.mark.linter


def test_copyright(monkeypatch: pytest.MonkeyPatch) -> None:
    main = pytest.importorskip("ament_copyright.main").main
    from ament_copyright.licenses import apache2

    # ament_copyright knows the long header of the license, not the short one of SPDX.
    spdx = apache2._replace(file_headers=["SPDX-License-Identifier: Apache-2.0"])
    monkeypatch.setattr("ament_copyright.parser.get_licenses", lambda: {"apache2": spdx})
    assert main([*SOURCES, str(ROOT / "CONTRIBUTING.md"), str(ROOT / "LICENSE")]) == 0


def test_flake8() -> None:
    main = pytest.importorskip("ament_flake8.main").main_with_errors
    code, errors = main(["--config", str(ROOT / ".flake8"), *SOURCES])
    assert code == 0, "\n".join(errors)


def test_pep257() -> None:
    main = pytest.importorskip("ament_pep257.main").main
    assert main(["--convention", "google", "--add-ignore", *NOT_CHECKED, "--", *SOURCES]) == 0
