# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The engine of a run: what it is loaded with, and that it is the same wherever a bag is segmented."""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.file_content import sha256_of
from bisenet_ros.model.model_file import model_sha256


class EngineOptions(NamedTuple):
    """What decides the engine; arguments of `load_engine`, parameters of the node. Paths are absolute."""

    model: Path
    device: str
    precision: str
    network_size: str
    class_map: Optional[Path]


@dataclass(frozen=True)
class EngineLoader:
    """Loads the engine wherever a bag is segmented, and makes sure that it is the same everywhere.

    Attributes:
        sha256: of the file that must be run, which may be the model's int8 version; empty: whichever is there.
        class_map_sha256: likewise of the class map.
        engine: likewise the engine's description: its runtime, device and precision.
    """

    options: EngineOptions
    sha256: str = ""
    class_map_sha256: str = ""
    engine: str = ""

    def __call__(self) -> Engine:
        """The engine.

        Raises ModelError and the like; BisenetError where another file lies at the model's or class map's path, or the
        engine is another one than it must be.
        """
        model, class_map = self.options.model, self.options.class_map
        if class_map and self.class_map_sha256 not in ("", sha256_of(class_map)):
            raise _another_file(class_map)
        engine = load_engine(**self.options._asdict())
        file = engine.model_file or model
        if self.sha256 and model_sha256(file) != self.sha256:
            engine.close()
            raise _another_file(file)
        if self.engine not in ("", engine.description):
            engine.close()
            raise BisenetError(
                f"{platform.node()} runs the model with {engine.description}, where {self.engine} is expected; install "
                "the same runtimes on all machines, and choose a --device and a --precision that all of them have"
            )
        return engine


def _another_file(file: Path) -> BisenetError:
    return BisenetError(
        f"{file} is another file now, or on this machine; evaluate with one model, one class map and one --precision"
    )
