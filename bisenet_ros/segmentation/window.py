# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A window that shows frames. Python's own Tk makes it: OpenCV's wheels without Qt or GTK have no windows."""

from typing import Tuple

import cv2
import numpy as np

from bisenet_ros.errors import BisenetError

LARGEST_SHARE = 0.9
"""Share of the screen's width and height that a frame may take."""
STOP_KEYS = ("<Escape>", "q")


class Window:
    """Shows one frame after the other, shrunk to fit the screen."""

    def __init__(self, title: str) -> None:
        """Raises BisenetError where there is no display, or Python has no Tk."""
        try:
            import tkinter
        except ModuleNotFoundError as error:
            raise BisenetError(
                "a window needs Python's tkinter, which is not installed; install it (`apt install python3-tk`), or "
                "leave --show out"
            ) from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise BisenetError(f"a window needs a display, but {error}; leave --show out") from error
        self._photo_image = tkinter.PhotoImage
        self._is_open = True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._stop)
        for key in STOP_KEYS:
            self._root.bind(key, lambda _: self._stop())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()

    def show(self, frame: np.ndarray) -> None:
        """Shows H x W x 3 uint8 BGR; raises KeyboardInterrupt once the user closed the window, or pressed q or Esc."""
        screen = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        image = self._photo_image(data=as_ppm(shrink(frame, screen)))
        self._label.configure(image=image)
        self._shown = image  # Tk forgets an image that nobody holds
        self._root.update()
        if not self._is_open:
            raise KeyboardInterrupt

    def close(self) -> None:
        self._root.destroy()

    def _stop(self) -> None:
        self._is_open = False


def shrink(frame: np.ndarray, screen: Tuple[int, int]) -> np.ndarray:
    """The frame, no larger than LARGEST_SHARE of a screen of (width, height) pixels."""
    height, width = frame.shape[:2]
    scale = min(1.0, LARGEST_SHARE * screen[0] / width, LARGEST_SHARE * screen[1] / height)
    if scale == 1.0:
        return frame
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def as_ppm(frame: np.ndarray) -> bytes:
    """H x W x 3 uint8 BGR as the bytes of a PPM file, which Tk reads fastest."""
    return cv2.imencode(".ppm", frame)[1].tobytes()
