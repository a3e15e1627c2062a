# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""CamVid at 960x720 with its 32 colors, as its authors published it."""

from bisenet_ros.model.class_map import CAMVID, IGNORE
from bisenet_training.data.camvid import OFFICIAL_FRAMES
from bisenet_training.data.label_encoding import Color, ColorEncoding
from bisenet_training.data.layout import Frame, Layout
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

COLORS: dict[str | None, dict[str, Color]] = {
    "sky": {"Sky": (128, 128, 128)},
    "building": {"Building": (128, 0, 0), "Wall": (64, 192, 0)},
    "pole": {"Column_Pole": (192, 192, 128)},
    "road": {"Road": (128, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64)},
    "sidewalk": {"Sidewalk": (0, 0, 192), "ParkingBlock": (64, 192, 128), "RoadShoulder": (128, 128, 192)},
    "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "signsymbol": {"SignSymbol": (192, 128, 128), "Misc_Text": (128, 128, 64), "TrafficLight": (0, 64, 64)},
    "fence": {"Fence": (64, 64, 128)},
    "car": {"Car": (64, 0, 128), "SUVPickupTruck": (64, 128, 192), "Truck_Bus": (192, 128, 192)},
    "pedestrian": {"Pedestrian": (64, 64, 0)},
    "bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
    None: {
        "Void": (0, 0, 0),
        "Animal": (64, 128, 64),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Child": (192, 128, 64),
        "OtherMoving": (128, 64, 64),
        "TrafficCone": (0, 0, 64),
        "Train": (192, 64, 128),
        "Tunnel": (64, 0, 64),
    },
}
"""The 32 colors, by class; None is unlabeled.

The 480x360 release is followed, so that one network fits both. It merges lane markings into road, walls into building,
and small plants into tree, and leaves bridges, archways, trolleys, children, traffic cones and other moving things
unlabeled. Other conversions add those to building, pedestrian, pole and car. Where that release does not tell
(ParkingBlock, RoadShoulder, MotorcycleScooter), the usual conversion is followed.
"""


class CamVidOriginal(SegmentationDataset):
    """`701_StillsRaw_full/ID.png` and `LabeledApproved_full/ID_L.png`; splits and drives are those of CamVid."""

    classes = CAMVID
    layout = Layout(images="701_StillsRaw_full/{name}.png", labels="LabeledApproved_full/{name}_L.png")
    encoding = ColorEncoding(
        {
            color: IGNORE if class_name is None else CAMVID.names.index(class_name)
            for class_name, colors in COLORS.items()
            for color in colors.values()
        }
    )
    official_frames = OFFICIAL_FRAMES

    def find_frames(self, split: str) -> list[Frame]:
        if split not in OFFICIAL_FRAMES:
            raise DataError(f"CamVid has the splits {', '.join(OFFICIAL_FRAMES)}, got {split!r}")
        frames = [
            frame
            for frame in self.layout.frames(self.root, split)
            if split == _split(frame.name) or split == _drive(frame.name) and _split(frame.name) != "test"
        ]
        if not frames:
            raise DataError(f"{self.root / '701_StillsRaw_full'} has no frame of {split}; download it again")
        return frames


def _drive(name: str) -> str:
    return name.split("_")[0]


def _split(name: str) -> str:
    """SegNet's split, which the original release has no lists of; it is contiguous in each drive."""
    drive, number = _drive(name), int("".join(filter(str.isdigit, name.split("_")[-1])) or 0)
    if drive == "0016E5" and 7959 <= number <= 8159:
        return "val"
    if drive == "Seq05VD" or drive == "0001TP" and number >= 8550:
        return "test"
    return "train"
