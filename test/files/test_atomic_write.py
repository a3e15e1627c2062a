# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from io import BytesIO
from pathlib import Path

import pytest

from bisenet_ros.files import atomic_write
from bisenet_ros.files.atomic_write import partial_of, remove_partial, write_text


@pytest.mark.parametrize("name", [251 * "x" + ".png", 127 * "\u00fc", 63 * "\U0001f697"])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, name):
    write_text(tmp_path / name, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "whole"


def test_each_writer_has_a_place_of_its_own_which_tells_the_file():
    places = {partial_of(Path("folder/run.json")) for _ in range(1000)}
    assert len(places) == 1000 and all(place.match("folder/run.json.*.partial") for place in places)


def test_what_killed_processes_left_is_removed_and_a_users_file_is_not(tmp_path):
    kept = [tmp_path / name for name in ("mine.partial", "run.json")]
    for path in (*kept, partial_of(tmp_path / "run.json"), partial_of(tmp_path / "of\nlines")):
        path.write_text("text")
    remove_partial(tmp_path)
    assert sorted(tmp_path.iterdir()) == kept


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_text(path, "earlier")

    def fail(error):
        raise error

    full, terminated = OSError(28, "No space left on device"), SystemExit(143)
    for error, told in ((full, f"No space left on device: '{path}'"), (terminated, "143")):
        monkeypatch.setattr(atomic_write.os, "fsync", lambda _, error=error: fail(error))
        with pytest.raises(type(error), match=told):
            atomic_write.write_bytes(path, b"later", durable=True)
        assert [*tmp_path.iterdir()] == [path] and path.read_text() == "earlier"


def test_a_figure_that_cannot_be_drawn_leaves_the_earlier_one(tmp_path):
    class Figure:
        def savefig(self, file: BytesIO, **options) -> None:
            file.write(b"half")
            if options["dpi"] > 1000:
                raise MemoryError

    path = tmp_path / "plot.png"
    atomic_write.write_figure(path, Figure(), dpi=100)
    path.write_text("earlier")
    with pytest.raises(MemoryError):
        atomic_write.write_figure(path, Figure(), dpi=2000)
    assert [*tmp_path.iterdir()] == [path] and path.read_text() == "earlier"
