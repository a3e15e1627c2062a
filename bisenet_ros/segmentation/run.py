# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One run of `bisenet segment`: from images, videos and cameras to a folder of masks and pictures."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
from tqdm import tqdm

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.unknown_pixels import check_size, hide_unknown, read_ignore_mask
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.files.file_content import sha256_of
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.result_folder import require_apart
from bisenet_ros.images import OPACITY
from bisenet_ros.images.colors import blend
from bisenet_ros.images.image_file import other_files
from bisenet_ros.model.input_size import CARD
from bisenet_ros.model.model_file import model_sha256
from bisenet_ros.segmentation import OUTPUTS
from bisenet_ros.segmentation.inputs import Input, InputFrame, find_inputs
from bisenet_ros.segmentation.output_folder import OutputFolder
from bisenet_ros.segmentation.video_file import VideoFile

MOST_NAMED = 5
"""Files of a folder that a warning names, since they are no images."""
Show = Callable[[np.ndarray], None]
"""Shows H x W x 3 uint8 BGR to the user."""


@dataclass(frozen=True)
class Request:
    """What is asked for; see `bisenet segment --help`."""

    inputs: Sequence[str]
    model: Path
    output: Path
    outputs: Sequence[str] = OUTPUTS[:1]
    device: str = "auto"
    precision: str = "auto"
    network_size: str = CARD
    class_map: Optional[Path] = None
    min_confidence: float = 0.0
    ignore_mask: Optional[Path] = None

    @property
    def needs_confidence(self) -> bool:
        return "confidence" in self.outputs or self.min_confidence > 0


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        segmented: frames whose files were written.
        earlier: frames whose files an earlier run had written.
        warnings: images that cannot be read, videos that end early, and what is no image in a folder, human-readable.
        is_imperfect: whether an image was left out, or a video has no frame, or lacks more than one of those that it
            promises.
    """

    segmented: int = 0
    earlier: int = 0
    warnings: List[str] = field(default_factory=list)
    is_imperfect: bool = False


def segment_inputs(request: Request, *, show: Optional[Show] = None) -> Outcome:
    """Segments all frames whose files are not there yet.

    Args:
        show: gets the overlay of each frame that is segmented.

    Raises:
        BisenetError: an input, the model or the output's folder cannot be used, or not one frame can be read.
        OSError: a file cannot be read or written.
        KeyboardInterrupt: the same call goes on with the frames left.
    """
    require_apart(request.output, filter(Path.exists, map(Path, request.inputs)))
    inputs = find_inputs(request.inputs)
    ignored = read_ignore_mask(request.ignore_mask) if request.ignore_mask else None
    engine = load_engine(
        request.model,
        device=request.device,
        precision=request.precision,
        network_size=request.network_size,
        class_map=request.class_map,
    )
    with ExitStack() as resources:
        resources.callback(engine.close)
        if request.needs_confidence and not engine.has_confidence:
            raise BisenetError(
                f"{engine.description} gives no confidence; leave it out of --write, and --min-confidence too"
            )
        folder = OutputFolder(request.output, outputs=request.outputs, color_table=engine.classes.color_table())
        resources.enter_context(explain_full_disk(request.output))
        resources.enter_context(folder.lock())
        folder.begin(_settings(request, engine), inputs)
        run = _Run(request, engine, folder, ignored, show)
        counts = [source.count for source in inputs]
        total = None if None in counts else sum(filter(None, counts))
        with tqdm(total=total, desc="segmenting", unit="frame", disable=None) as bar:
            for source in inputs:
                run.segment(source, progress=bar.update)
    if not run.outcome.segmented + run.outcome.earlier:
        raise BisenetError(f"not one frame could be read: {'; '.join(run.outcome.warnings)}")
    folders = filter(Path.is_dir, map(Path, request.inputs))
    run.outcome.warnings += filter(None, map(_left_out, folders))
    return run.outcome


def _left_out(folder: Path) -> str:
    """What is no image in a folder, human-readable; "" where there is nothing."""
    names = other_files(folder)
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{folder} has more than images, which is not segmented: {', '.join(names[:MOST_NAMED])}{more}"


def _settings(request: Request, engine: Engine) -> Dict[str, str]:
    """What masks depend on beside the inputs, by name, human-readable."""
    settings = {"engine": engine.description, "model file": model_sha256(engine.model_file or request.model)}
    for name, file in (("class map", request.class_map), ("ignore mask", request.ignore_mask)):
        if file:
            settings[name] = sha256_of(file)
    if request.min_confidence > 0:
        settings["min confidence"] = f"{request.min_confidence:g}"
    return settings


class _Run:
    """Passes inputs through the engine and writes what comes out."""

    def __init__(
        self,
        request: Request,
        engine: Engine,
        folder: OutputFolder,
        ignored: Optional[np.ndarray],
        show: Optional[Show],
    ) -> None:
        """`ignored` is the ignore mask, H x W uint8."""
        self.outcome = Outcome()
        self._request, self._engine, self._folder, self._ignored, self._show = request, engine, folder, ignored, show
        self._outputs = request.outputs
        self._colors = engine.classes.color_table()

    def segment(self, source: Input, *, progress: Callable[[], object]) -> None:
        """Segments the frames of one input; a video's overlays also become a video."""
        read = 0
        with ExitStack() as files:
            video = self._open_video(source, files)
            for frame in source.frames():
                try:
                    overlay = self._segment(frame, with_overlay=video is not None)
                except ImageError as error:
                    if source.is_video or source.path is None:  # all frames of a video or a camera are of one size
                        raise
                    self.outcome.warnings.append(str(error))
                    self.outcome.is_imperfect = True
                    continue
                finally:
                    progress()
                if video is not None and overlay is not None:
                    video.write(overlay)
                read += 1
        promised = source.count or 0
        if source.is_video and read < max(promised, 1):
            told = f"promises {promised} frames, {read} could be read" if promised else "has no frame"
            self.outcome.warnings.append(f"{source.path} {told}")
            self.outcome.is_imperfect |= read < max(promised - 1, 1)

    def _open_video(self, source: Input, files: ExitStack) -> Optional[VideoFile]:
        """The video of a video's overlays, where it is wanted and not there yet."""
        path = self._folder.folder / "overlay" / f"{source.name}.mp4"
        if source.rate is None or "overlay" not in self._outputs or path.exists():
            return None
        return files.enter_context(VideoFile(path, rate=source.rate))

    def _segment(self, frame: InputFrame, *, with_overlay: bool) -> Optional[np.ndarray]:
        """Makes a frame's files unless they are there; its overlay, where that is asked for."""
        if self._folder.has(frame.name):
            self.outcome.earlier += 1
            return self._folder.read_overlay(frame.name) if with_overlay else None
        pixels = self._make_outputs(frame.name, frame.read())
        self._folder.write(frame.name, pixels)
        self.outcome.segmented += 1
        if self._show is not None:
            self._show(pixels["overlay"])
        return pixels.get("overlay")

    def _make_outputs(self, name: str, frame: np.ndarray) -> Dict[str, np.ndarray]:
        """The pixels of each output; the overlay also where it is only shown."""
        if self._ignored is not None:
            check_size(self._ignored, frame.shape[:2], image=name, name="--ignore-mask")
        try:
            [segmentation] = self._engine.segment_batch([frame], confidence=self._request.needs_confidence)
        except RuntimeError as error:
            raise BisenetError(f"{self._engine.description} failed on {name}: {error}") from error
        least = self._request.min_confidence
        mask, confidence = hide_unknown(*segmentation, ignored=self._ignored, min_confidence=least)
        pixels = {"mask": mask, "color_mask": mask}
        if confidence is not None:
            pixels["confidence"] = confidence
        if "overlay" in self._outputs or self._show is not None:
            pixels["overlay"] = blend(frame, mask, self._colors, opacity=OPACITY)
        return pixels
