# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of a training run's best mIoU."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Writes `best.ckpt`, the weights of the best mIoU, also where the run's folder was moved before it went on."""

    def __init__(self, output: Path) -> None:
        super().__init__(output, filename="best", monitor="val_miou", mode="max", enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best, score = str(Path(self.dirpath or "") / "best.ckpt"), state_dict["best_model_score"]
        if score is not None and Path(best).is_file():  # Lightning forgets it where the folder has another path
            places = {"dirpath": self.dirpath, "best_model_path": best, "kth_best_model_path": best}
            state_dict = {**state_dict, **places, "best_k_models": {best: score}}
        super().load_state_dict(state_dict)
