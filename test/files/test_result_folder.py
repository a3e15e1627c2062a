# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Folders of results: neither the user's own files nor earlier results are mixed with them."""

import pytest

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.result_folder import require_free


def test_a_new_or_empty_folder_is_free(tmp_path):
    require_free(tmp_path / "new")
    require_free(tmp_path, ["report.html"])


def test_a_folder_of_other_files_is_refused_also_by_force(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for taken in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(BisenetError, match=f"{taken} exists and holds something else; name a new folder with -o"):
            require_free(taken, ["report.html"], force=True)


def test_results_of_an_earlier_run_are_replaced_by_force(tmp_path):
    (tmp_path / "report.html").write_text("")
    with pytest.raises(BisenetError, match=f"{tmp_path} holds the results of an earlier run; add --force"):
        require_free(tmp_path, ["report.html", "scores.json"])
    require_free(tmp_path, ["report.html", "scores.json"], force=True)
