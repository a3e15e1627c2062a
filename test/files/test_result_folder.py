# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Folders of results: neither the user's own files nor earlier results are mixed with them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.atomic_write import write_text
from bisenet_ros.files.result_folder import (
    prepare_outputs,
    put_in_place,
    remove_left_over,
    require_apart,
    require_free,
    require_replaceable,
    require_writable,
    unfinished_folder,
)


def folder_of(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


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


def test_a_json_file_that_is_there_is_replaced_by_force_alone(tmp_path):
    model, report = tmp_path / "model.onnx", tmp_path / "report"
    model.write_text("weights")
    told = f"{model} exists; add --force to replace it, or name another file with --json"
    with pytest.raises(BisenetError, match=told):
        prepare_outputs(report, model, files=["report.html"], force=False)
    assert not report.exists() and model.read_text() == "weights"
    prepare_outputs(report, model, files=["report.html"], force=True)
    for new in (tmp_path / "new" / "scores.json", Path("/dev/null"), Path("/dev/stdout")):
        prepare_outputs(None, new, files=["report.html"], force=False)


def test_results_and_inputs_lie_apart(tmp_path):
    folder = tmp_path / "results"
    require_apart(folder, [tmp_path / "inputs", tmp_path / "image.png"])
    for place in (folder, tmp_path, folder / "image.png", tmp_path / "a" / ".." / "results"):
        with pytest.raises(BisenetError, match=f"{folder}, .* and {place.resolve()} must lie apart; .* with --labels"):
            require_apart(folder, [tmp_path / "inputs", place], option="--labels")


def test_an_unfinished_folder_leaves_nothing_but_what_was_put_in_place(tmp_path):
    target = tmp_path / "a" / "bag"
    with pytest.raises(KeyboardInterrupt), unfinished_folder(target) as unfinished:
        folder_of(unfinished, "half")
        assert unfinished.name == "bag" and unfinished.parent.parent == target.parent and not target.exists()
        raise KeyboardInterrupt
    assert not [*target.parent.iterdir()]
    with unfinished_folder(target) as unfinished:
        folder_of(unfinished, "whole").rename(target)
    assert [*target.parent.iterdir()] == [target] and (target / "file").read_text() == "whole"


def test_a_folder_is_put_in_the_place_of_another(tmp_path):
    new, old = folder_of(tmp_path / "new", "new"), folder_of(tmp_path / "old", "old")
    put_in_place(new, old)
    assert [*tmp_path.iterdir()] == [old] and (old / "file").read_text() == "new"


def test_a_mount_point_and_the_current_folder_cannot_be_replaced(tmp_path, monkeypatch):
    require_replaceable(tmp_path / "new")
    require_replaceable(tmp_path)
    with pytest.raises(BisenetError, match="/proc is a mount point, .* name a folder in it with -o"):
        require_replaceable(Path("/proc"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BisenetError, match=f"{tmp_path} is the current folder, .* name a folder in it with -o"):
        require_replaceable(tmp_path)


def test_a_folder_that_cannot_be_replaced_stays(tmp_path):
    old = folder_of(tmp_path / "old", "old")
    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "none", old)
    assert [*tmp_path.iterdir()] == [old] and (old / "file").read_text() == "old"


ENDED = str(2**22 + 1)
"""Linux gives no process this number."""


@pytest.mark.parametrize("work", ["unfinished_folder(target).__enter__().mkdir()", "target.mkdir(); remove(target)"])
def test_what_a_killed_process_has_left_is_removed_later(tmp_path, work):
    target = tmp_path / ("yar[1d]" * 8)
    program = f"""
import os, shutil, signal
from pathlib import Path
from bisenet_ros.files.result_folder import remove, unfinished_folder
target = Path({str(target)!r})
shutil.rmtree = lambda *_: None
{work}
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert [path.name for folder in tmp_path.iterdir() for path in folder.iterdir()] == [target.name]
    remove_left_over(target)
    assert not [*tmp_path.iterdir()]


def test_what_a_process_is_still_making_stays(tmp_path):
    """Process 1 is always there."""
    at_work = tmp_path / "yard.1.blurred1.partial"
    at_work.mkdir()
    remove_left_over(tmp_path / "yard")
    assert at_work.is_dir()


@pytest.mark.parametrize(
    "name",
    [f"yard.{ENDED}.blurred1.removed", f"yard.{ENDED}.partial", "yard.my.blurred1.partial", "yard.blurred1.removed"],
)
def test_a_folder_that_is_merely_called_as_a_left_over_stays(tmp_path, name):
    folder = folder_of(tmp_path / name, "of the user")
    remove_left_over(tmp_path / "yard")
    assert (folder / "file").is_file()


def test_a_left_over_of_another_folder_stays(tmp_path):
    aside = tmp_path / f"yar1.{ENDED}.blurred1.removed"
    aside.mkdir()
    for target in ("yard", "yar[1d]"):
        remove_left_over(tmp_path / target)
    assert aside.is_dir()


def test_a_device_is_written_to_as_it_is(capfd):
    device = Path("/dev/stdout")
    require_writable(device)
    write_text(device, "scores")
    assert capfd.readouterr().out == "scores" and device.is_symlink()


def test_a_pipe_is_written_to_as_it_is(tmp_path):
    """Such as of `--json >(jq .)`, which a shell calls /dev/fd/63, or of mkfifo."""
    reading, writing = os.pipe()
    fifo = tmp_path / "scores.json"
    os.mkfifo(fifo)
    with open(reading, "rb", buffering=0) as pipe, open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb") as other:
        for path, reader in (
            (Path(f"/dev/fd/{writing}"), pipe),
            (Path(f"/proc/self/fd/{writing}"), pipe),
            (fifo, other),
        ):
            prepare_outputs(None, path, files=[], force=False)
            write_text(path, "scores")
            assert reader.read(6) == b"scores"
    os.close(writing)
    assert fifo.is_fifo() and [*tmp_path.iterdir()] == [fifo]


@pytest.mark.parametrize("place", ["/dev/fd", "/proc/self/fd"])
def test_an_open_file_is_written_to_as_it_is(tmp_path, place):
    """As with `--json /dev/fd/3 3> scores.json`."""
    with (tmp_path / "scores.json").open("w") as file:
        path = Path(place, str(file.fileno()))
        prepare_outputs(None, path, files=[], force=False)
        write_text(path, "scores")
    assert (tmp_path / "scores.json").read_text() == "scores"
