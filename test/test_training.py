"""The training path: data, augmentation, loss, recipe, and a short real run on frames of the clip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import List

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from bisenet_training.datasets import CamVid, DataError  # noqa: E402
from bisenet_training.losses import OhemCrossEntropy, boosted_loss  # noqa: E402
from bisenet_training.recipe import RecipeError, load_recipe  # noqa: E402
from bisenet_training.transforms import Augment, ToTensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from bisenet_ros.cli import main  # noqa: E402
from bisenet_ros.model_card import read_card  # noqa: E402
from demo.clip import FOLDER, frame_ids  # noqa: E402

RECIPES = Path(__file__).parents[1] / "training" / "recipes"
TO_TENSOR = ToTensor(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture
def camvid(tmp_path) -> Path:
    """A small CamVid tree: six frames of the clip to train on, two to validate."""
    root = tmp_path / "camvid"
    root.mkdir()
    (root / "images").symlink_to(FOLDER / "images")
    (root / "labels").symlink_to(FOLDER / "labels")
    (root / "train.txt").write_text("\n".join(frame_ids()[:6]))
    (root / "val.txt").write_text("\n".join(frame_ids()[50:52]))
    return root


def test_camvid_is_read_as_it_lies(camvid):
    image, labels = CamVid(camvid, "train", TO_TENSOR)[0]
    bgr = cv2.imread(str(camvid / "images" / f"{frame_ids()[0]}.jpg"))
    assert image.shape == (3, 360, 480) and image.dtype == torch.float32
    assert np.allclose(image[0].numpy(), (bgr[..., 2] / 255 - 0.5) / 0.25, atol=1e-5), "RGB, normalised"
    assert np.array_equal(labels, cv2.imread(str(camvid / "labels" / f"{frame_ids()[0]}.png"), cv2.IMREAD_UNCHANGED))


def spoil(camvid: Path, labels: np.ndarray) -> str:
    (camvid / "labels").unlink()
    (camvid / "labels").mkdir()
    path = camvid / "labels" / f"{frame_ids()[0]}.png"
    cv2.imwrite(str(path), labels)
    return str(path)


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.full((360, 480), 11, np.uint8), "holds label 11, expected 0 to 10, or 255"),
        (np.zeros((180, 240), np.uint8), r"of shape \(360, 480\) .*, got \(180, 240\)"),
        (np.zeros((360, 480, 3), np.uint8), r"of shape \(360, 480\) .*, got \(360, 480, 3\)"),
    ],
)
def test_bad_labels_are_named(camvid, labels, message):
    path = spoil(camvid, labels)
    with pytest.raises(DataError, match=message) as error:
        CamVid(camvid, "train", TO_TENSOR)
    assert path in str(error.value)


def test_missing_files_are_named(camvid):
    with pytest.raises(DataError, match="test.txt, found none"):
        CamVid(camvid, "test", TO_TENSOR)
    (camvid / "train.txt").write_text("no_such_frame")
    with pytest.raises(DataError, match="no_such_frame.jpg is missing"):
        CamVid(camvid, "train", TO_TENSOR)


def test_malformed_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: [")
    with pytest.raises(RecipeError, match="recipe.yaml"):
        load_recipe(path)


def test_augmentation_moves_image_and_labels_together():
    """The image shows each pixel's label as its grey value, and still does afterwards."""
    torch.manual_seed(0)
    labels = np.kron(np.random.default_rng(0).integers(0, 11, (9, 12)), np.ones((40, 40))).astype(np.uint8)
    image = np.repeat(labels[..., None], 3, axis=2)
    augment = Augment(
        scales=[0.5, 1.0, 2.0],
        crop=(240, 320),
        resize=None,
        flip=True,
        colour_jitter=0,
        then=ToTensor((0, 0, 0), (1 / 255,) * 3),
    )
    for _ in range(20):
        pixels, truth = augment(image, labels)
        assert pixels.shape == (3, 240, 320) and truth.shape == (240, 320)
        labelled = truth != 255
        assert torch.mean((pixels[0].round() == truth)[labelled].float()) > 0.9


def test_augmentation_follows_the_seed():
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    augment = Augment(scales=[0.5, 1.0, 2.0], crop=(64, 64), resize=None, flip=True, colour_jitter=0.2, then=TO_TENSOR)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(torch.stack([augment(image, image[..., 0])[0] for _ in range(4)]))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_ohem_takes_the_mean_over_the_hard_pixels():
    torch.manual_seed(0)
    logits, labels = 4 * torch.randn(2, 5, 16, 16), torch.randint(0, 5, (2, 16, 16))
    labels[:, :4] = 255
    losses = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")[labels != 255]
    hard = losses[losses > -math.log(0.7)]
    assert OhemCrossEntropy(threshold=0.7, min_fraction=0.01)(logits, labels) == pytest.approx(float(hard.mean()))
    fewest = losses.topk(int(0.9 * losses.numel())).values
    assert OhemCrossEntropy(threshold=0.7, min_fraction=0.9)(logits, labels) == pytest.approx(float(fewest.mean()))


def test_ohem_without_a_label_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0 and torch.count_nonzero(logits.grad) == 0


def test_boosters_add_to_the_loss():
    labels = torch.randint(0, 3, (1, 16, 16))
    head, booster = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 4, 4)
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)
    alone = boosted_loss([head], labels, criterion=criterion, booster_weight=0.5)
    other = boosted_loss([booster], labels, criterion=criterion, booster_weight=0.5)
    both = boosted_loss([head, booster], labels, criterion=criterion, booster_weight=0.5)
    assert both == pytest.approx(float(alone + 0.5 * other))


def test_the_recipe_holds_the_papers_numbers():
    recipe = load_recipe(RECIPES / "camvid.yaml", ["data.root=/nowhere"])
    assert (recipe.optimizer.learning_rate, recipe.optimizer.momentum, recipe.optimizer.poly_power) == (0.05, 0.9, 0.9)
    assert (recipe.optimizer.weight_decay, recipe.run.batch_size, recipe.run.iterations) == (5e-4, 16, 10_000)
    assert recipe.augmentation.scales == [0.75, 1.0, 1.25, 1.5, 1.75, 2.0]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ([], "does not state data.root"),
        (["data.root=x", "optimizer.learning_rat=1"], "learning_rat"),
        (["data.root=x", "run.iterations=many"], "many"),
        (["data.root=x", "augmentation.crop=[32]"], "augmentation.crop must have 2 numbers"),
        (["data.root=x", "run.iterations=1001"], "a multiple of run.validate_every"),
    ],
)
def test_bad_recipes_are_refused(overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(RECIPES / "camvid.yaml", overrides)


def small_run(camvid: Path, output: Path) -> List[str]:
    overrides = {
        "data.root": camvid,
        "augmentation.crop": "[64,96]",
        "network.width": 0.25,
        "network.head_width": 16,
        "run.batch_size": 3,
        "run.validate_every": 10,
    }
    settings = [f"{key}={value}" for key, value in overrides.items()]
    return ["train", str(RECIPES / "camvid_cpu.yaml"), *settings, "-o", str(output)]


def test_a_short_run_learns_resumes_and_exports(camvid, tmp_path, capsys):
    command = small_run(camvid, tmp_path)
    assert main([*command, "run.iterations=20"]) == 0
    run = tmp_path / "camvid_cpu"
    first = torch.load(run / "last.ckpt", weights_only=True)
    assert first["global_step"] == 20 and first["card"]["scores"]["iteration"] == 20
    assert main([*command, "run.iterations=30", "--resume"]) == 0
    last = torch.load(run / "last.ckpt", weights_only=True)
    assert last["global_step"] == 30
    earlier = last["card"]["training"]["earlier_runs"]
    assert [(part["until"], part["run"]["iterations"]) for part in earlier] == [(20, 20)]

    losses = logged(run, "loss")
    assert losses[-1] < losses[0], losses
    assert len(logged(run, "val_miou")) == 3

    model = tmp_path / "model.onnx"
    assert main(["export", str(run / "best.ckpt"), "-o", str(model)]) == 0
    card = read_card(model)
    assert card.scores["val_miou"] == pytest.approx(max(logged(run, "val_miou")))
    assert card.training["optimizer"]["learning_rate"] == 0.025 and "root" not in card.training["data"]

    capsys.readouterr()
    assert main([*command, "run.iterations=20"]) == 1
    assert "holds a run already; pass --resume" in capsys.readouterr().err
    assert main([*command, "run.iterations=40", "--resume", "loss.booster_weight=0.5"]) == 1
    assert "was trained with loss" in capsys.readouterr().err


def test_the_last_checkpoint_is_the_last_even_when_it_scores_worse(camvid, tmp_path, monkeypatch):
    scores = iter([0.9, 0.1])
    monkeypatch.setattr("bisenet_training.module.mean_iou", lambda confusion: next(scores))
    assert main([*small_run(camvid, tmp_path), "run.iterations=4", "run.validate_every=2"]) == 0
    steps = {
        name: torch.load(tmp_path / "camvid_cpu" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("best", "last")
    }
    assert steps == {"best": 2, "last": 4}


def test_a_batch_larger_than_the_split_is_refused(camvid, tmp_path, capsys):
    assert main([*small_run(camvid, tmp_path), "run.iterations=10", "run.batch_size=7"]) == 1
    assert "has 6 frames, fewer than run.batch_size 7" in capsys.readouterr().err


def logged(run: Path, column: str) -> list:
    """The values of a column in the CSV logs of all runs, in order."""
    import csv

    rows = [row for log in sorted(run.glob("csv/*/metrics.csv")) for row in csv.DictReader(log.open())]
    return [float(row[column]) for row in rows if row.get(column)]


def test_nothing_to_resume(camvid, tmp_path, capsys):
    command = ["train", str(RECIPES / "camvid_cpu.yaml"), f"data.root={camvid}", "-o", str(tmp_path), "--resume"]
    assert main(command) == 1
    assert "expected a checkpoint to resume" in capsys.readouterr().err
