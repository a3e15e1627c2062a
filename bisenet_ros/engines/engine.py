# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What every engine offers: a frame in, a mask out."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Dict, List, Literal, NamedTuple, Optional, Sequence, Tuple, Union, overload

import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.input_size import CARD, network_size, size_text
from bisenet_ros.model.model_card import ModelCard

LARGEST_BATCH = 64
"""Frames."""


class EngineError(BisenetError):
    """An engine that is not available here, or a frame or an option that engines do not take."""


class FatalEngineError(RuntimeError):
    """A fault of the GPU after which this process cannot use it any more; a new process can."""


class Segmentation(NamedTuple):
    """What is made of one frame: its mask, and the confidence where that was asked for; see `Engine.segment`."""

    mask: np.ndarray
    confidence: Optional[np.ndarray] = None


class Engine(ABC):
    """Segments frames with one model, called from one thread at a time, unless an engine's class says more.

    Attributes:
        card: the model card.
        description: the runtime, device, precision and network size, human-readable.
        model_file: the file that is run, such as NAME.int8.onnx beside NAME.onnx; None unless `load_engine` chose it.
        precision_reason: why precision "auto" is this one, human-readable; empty where one was asked for.
        size_choice: the size that frames have for the network, a `choice` of `network_size`.
        unlisted: the last class of the card, where it stands for what a class map leaves out; masks have it as 255.
        max_batch: the most frames that run at once; more are no error, and run one batch after another.
        has_confidence: whether it gives confidence maps; the log says why not. On a GPU it may end with a frame's size.
    """

    model_file: Optional[Path] = None
    precision_reason: str = ""
    unlisted: Optional[int] = None
    has_confidence: bool = True

    def __init__(self, card: ModelCard, *, description: str, size_choice: str = CARD, max_batch: int = 1) -> None:
        self.card = card
        self.description = description
        self.size_choice = size_choice
        self.max_batch = max_batch

    @property
    def classes(self) -> ClassMap:
        """The classes whose ids masks have: the model's, or the groups that a class map merges them into."""
        return ClassMap(self.card.classes.classes[: self.unlisted])

    def network_size(self, height: int, width: int) -> Tuple[int, int]:
        """The (height, width) that a frame of this size is resized to for the network; see `network_size`."""
        return network_size(height, width, trained=self.card.network_size, choice=self.size_choice)

    @overload
    def segment(self, frame: np.ndarray, *, confidence: Literal[False] = False) -> np.ndarray: ...

    @overload
    def segment(self, frame: np.ndarray, *, confidence: Literal[True]) -> Tuple[np.ndarray, np.ndarray]: ...

    def segment(
        self, frame: np.ndarray, *, confidence: bool = False
    ) -> Union[np.ndarray, Tuple[np.ndarray, Optional[np.ndarray]]]:
        """The class of every pixel.

        Args:
            frame: H x W x 3 uint8 BGR; its rows may be padded.
            confidence: also return the softmax probability of the class.

        Returns:
            H x W uint8 ids of `classes`, and 255 for what a class map leaves out; with `confidence`, also H x W uint8,
            255 being certain.

        Raises:
            EngineError: the frame is not such an array.
            FatalEngineError: only a new process can go on.
        """
        require_frame(frame)
        found = self._hide_unlisted(self._segment(frame, confidence=confidence))
        return found if confidence else found.mask

    def segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool = False) -> List[Segmentation]:
        """What `segment` makes of each of several frames of one size; up to `max_batch` of them run at once.

        Raises:
            EngineError: a frame is not such an array, or they differ in size.
        """
        for frame in frames:
            require_frame(frame)
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) > 1:
            found = ", ".join(map(size_text, sizes))
            raise EngineError(f"expected frames of one size, got {found}; make a batch of each size")
        results: List[Segmentation] = []
        for start in range(0, len(frames), self.max_batch):
            results += self._segment_batch(frames[start : start + self.max_batch], confidence=confidence)
        return [self._hide_unlisted(result) for result in results]

    def _hide_unlisted(self, segmentation: Segmentation) -> Segmentation:
        """Makes IGNORE of `unlisted` in a mask, in its place."""
        if self.unlisted is not None:
            segmentation.mask[segmentation.mask == self.unlisted] = IGNORE
        return segmentation

    @abstractmethod
    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        """`segment`, with the frame checked."""

    def _segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool) -> List[Segmentation]:
        """`segment_batch`, with the 1 to `max_batch` frames of one size checked."""
        return [self._segment(frame, confidence=confidence) for frame in frames]

    def last_logits(self) -> Optional[np.ndarray]:
        """The logits of the last batch, frames x classes x h x w float32, valid until the next.

        None before the first, and where an engine does not have them: a plan of TensorRT may end with the mask.
        """
        return None

    @property
    def building(self) -> str:
        """What is being built now, such as "a plan for 1920x1080", which may take minutes; else empty."""
        return ""

    def memory_mib(self) -> Optional[Tuple[float, float]]:
        """(used, total) mebibytes of the GPU's memory, by all programs together; None where it is not known now."""
        return None

    def close(self) -> None:  # noqa: B027, an engine may have nothing to free
        """Frees the engine's memory; it must not be used any more. A second call does nothing."""

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        """How long each stage of one frame takes, in order; `bisenet benchmark` prints it.

        "network" is the network alone. A stage whose name begins with "copy" is between host and device, which the
        paper's protocol leaves out. Empty where an engine cannot tell its stages apart.
        """
        return {}


def require_frame(frame: np.ndarray) -> None:
    """Raises EngineError for what is no H x W x 3 uint8 array with pixels."""
    if not isinstance(frame, np.ndarray):
        raise EngineError(f"expected a frame as a NumPy array of H x W x 3 uint8 (BGR), got {type(frame).__name__}")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise EngineError(f"expected a frame of H x W x 3 uint8 (BGR), got {frame.shape} {frame.dtype}")


def check_max_batch(max_batch: int) -> None:
    """Raises EngineError for a `max_batch` that is not 1 to LARGEST_BATCH."""
    if not 1 <= max_batch <= LARGEST_BATCH:
        raise EngineError(f"max_batch must be 1 to {LARGEST_BATCH} frames, got {max_batch}")
