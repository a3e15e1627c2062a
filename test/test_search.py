"""The search of training changes: what is kept, what goes on another time, and pieces of large files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from bisenet_training import pieces  # noqa: E402
from bisenet_training.search import OUT_OF_TIME, Search, bring, load_plan, read_results  # noqa: E402

from bisenet_ros.cli import main  # noqa: E402
from bisenet_ros.model_card import read_card  # noqa: E402
from demo.clip import FOLDER, frame_ids  # noqa: E402

TRAINING = Path(__file__).parents[1] / "training"
PLAN = f"""
recipe: {TRAINING / "recipes" / "camvid_cpu.yaml"}
folds:
  val: [data.train_split=train, data.val_split=val]
trusted: [val]
margin: 0.003
changes:
  no_learning: [optimizer.learning_rate=0.0]
final:
  small: [data.train_split=train+val, data.val_split=null]
"""


@pytest.fixture
def plan(tmp_path) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture
def overrides(tmp_path) -> list:
    root = tmp_path / "camvid"
    root.mkdir()
    (root / "images").symlink_to(FOLDER / "images")
    (root / "labels").symlink_to(FOLDER / "labels")
    (root / "train.txt").write_text("\n".join(frame_ids()[:5]))
    (root / "val.txt").write_text("\n".join(frame_ids()[50:52]))
    entries = {
        "data.root": root,
        "data.network_size": "[96,128]",
        "augmentation.crop": "[64,96]",
        "network.width": 0.25,
        "network.head_width": 16,
        "run.batch_size": 4,
        "run.iterations": 4,
        "run.validate_every": 2,
    }
    return [f"{key}={value}" for key, value in entries.items()]


def test_a_search_in_chunks_tries_scores_and_trains_the_final_weights(plan, overrides, tmp_path, capsys):
    command = ["search", str(plan), *overrides, "--pieces", str(tmp_path / "pieces")]
    assert main([*command, "-o", str(tmp_path / "none"), "--minutes", "0"]) == OUT_OF_TIME
    assert main([*command, "-o", str(tmp_path / "search")]) == 0
    results = json.loads((tmp_path / "search" / "results.json").read_text())
    assert list(results) == ["recipe/val", "no_learning/val"]
    assert "optimizer.learning_rate=0.0" in results["no_learning/val"]["settings"]
    assert not any(entry.startswith("data.root") for entry in results["no_learning/val"]["settings"])
    table = (tmp_path / "search" / "RESULTS.md").read_text().splitlines()
    assert f"| {100 * results['recipe/val']['miou']:.1f} |" in table[2] and table[3].startswith("| no_learning |")
    assert table[-1] == "- small.onnx"
    assert not list((tmp_path / "search").glob("*/val/*.ckpt")), "only the final weights are kept"

    card = read_card(tmp_path / "search" / "small.onnx")
    kept = results["no_learning/val"]["miou"] >= results["recipe/val"]["miou"] + 0.003
    assert card.training["data"]["train_split"] == "train+val"
    assert card.training["optimizer"]["learning_rate"] == (0.0 if kept else 0.025)

    # What was scored with other settings does not count.
    assert main([*command, "loss.class_balance=0.1", "-o", str(tmp_path / "search")]) == 1
    assert "name another --output" in capsys.readouterr().err

    # Another machine that gets the pieces has nothing left to do.
    assert main([*command, "-o", str(tmp_path / "again"), "--minutes", "0"]) == 0
    assert (tmp_path / "again" / "small.onnx").read_bytes() == (tmp_path / "search" / "small.onnx").read_bytes()


def test_a_change_is_kept_when_it_pays_on_the_trusted_folds(plan, tmp_path):
    search_plan = load_plan(plan)
    search_plan.folds = {"drive": ["data.val_split=drive"], "val": ["data.val_split=val"]}
    search_plan.trusted = ["drive"]
    search_plan.changes = {"better": ["a"], "worse": ["b"], "by_chance": ["c"], "best": ["d"]}
    miou = {"recipe": 0.5, "better": 0.6, "worse": 0.55, "by_chance": 0.602, "best": 0.7}
    tried, trained = {}, []

    class Known(Search):
        """Scores that are known beforehand in place of runs; val says the opposite of the drive."""

        def _train(self, row, fold, overrides):
            trained.append((row, fold))
            return Path(row)

        def _record(self, key, settings, checkpoint):
            row, fold = key.split("/")
            tried[row] = settings[:-1]
            score = miou[row] if fold == "drive" else 1 - miou[row]
            entry = {"settings": self._told(settings), "miou": score, "diverged": False}
            self.results_file.write_text(json.dumps({**read_results(self.output), key: entry}))

        def _final(self, name, overrides):
            tried[name] = overrides

    Known.results_file = tmp_path / "results.json"
    known = Known(search_plan, recipe=Path("r"), overrides=[], output=tmp_path, deadline=float("inf"))
    known.run()
    assert tried["worse"] == ["a", "b"] and tried["by_chance"] == ["a", "c"] and tried["best"] == ["a", "d"]
    assert tried["small"][:2] == ["a", "d"]
    assert known.kept == {"better": True, "worse": False, "by_chance": False, "best": True}
    assert len(trained) == 10
    known.run()
    assert len(trained) == 10, "what has a score is not trained again"


def test_a_run_that_diverges_is_a_row_that_is_not_kept(plan, overrides, tmp_path):
    plan.write_text(plan.read_text().replace("learning_rate=0.0", "learning_rate=1e30").replace("no_learning", "wild"))
    plan.write_text(plan.read_text().split("final:")[0] + "final: {}")
    settings = [*overrides[1:], "data.train_split=train", "data.val_split=val"]  # but for the data's place
    scored = {"recipe/val": {"settings": settings, "miou": 0.1, "diverged": False}}
    (tmp_path / "results.json").write_text(json.dumps(scored))
    assert main(["search", str(plan), *overrides, "-o", str(tmp_path)]) == 0
    assert read_results(tmp_path)["wild/val"]["diverged"]
    assert "| wild | diverged |" in (tmp_path / "RESULTS.md").read_text()


def test_pieces_of_a_machine_that_came_further_are_taken_over(tmp_path):
    for folder, rows in (("here", 1), ("there", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(json.dumps({f"row{i}/val": {} for i in range(rows)}))
        pieces.split(tmp_path / folder, tmp_path / f"pieces_{folder}", patterns=["results.json"])
    bring(tmp_path / "pieces_there", tmp_path / "here")
    assert len(read_results(tmp_path / "here")) == 2
    bring(tmp_path / "pieces_here", tmp_path / "here")
    assert len(read_results(tmp_path / "here")) == 2


def test_a_folder_of_something_else_is_not_made_pieces_of(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="holds other files"):
        pieces.split(tmp_path, tmp_path / "documents", patterns=["*.txt"])
    assert (tmp_path / "documents" / "thesis.txt").exists()


def test_files_come_back_from_their_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", 1000)
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    content = torch.randint(0, 256, (2500,), dtype=torch.uint8).numpy().tobytes()
    (root / "a" / "b" / "last.ckpt").write_bytes(content)
    (root / "other.txt").write_text("not asked for")
    pieces.split(root, tmp_path / "pieces", patterns=["*/*/last.ckpt"])
    sizes = [path.stat().st_size for path in (tmp_path / "pieces").glob("*.bin")]
    assert sorted(sizes) == [500, 1000, 1000]
    assert pieces.join(tmp_path / "pieces", tmp_path / "new") == [tmp_path / "new" / "a" / "b" / "last.ckpt"]
    assert (tmp_path / "new" / "a" / "b" / "last.ckpt").read_bytes() == content

    (tmp_path / "pieces" / "piece1.bin").write_bytes(bytes(1000))
    with pytest.raises(ValueError, match="are not what was cut"):
        pieces.join(tmp_path / "pieces", tmp_path / "broken")
    (tmp_path / "pieces" / "piece1.bin").unlink()
    with pytest.raises(ValueError, match="expected piece1.bin"):
        pieces.join(tmp_path / "pieces", tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize("index", ["{", "[1]", '{"a": {}}', '{"a": {"sha256": ""}}'])
def test_a_damaged_index_is_named(tmp_path, index):
    (tmp_path / "pieces.json").write_text(index)
    with pytest.raises(ValueError, match="pieces.json is damaged"):
        pieces.join(tmp_path, tmp_path / "root")


def test_pieces_are_put_nowhere_else(tmp_path):
    (tmp_path / "pieces.json").write_text(json.dumps({"../outside": {"sha256": "", "pieces": []}}))
    with pytest.raises(ValueError, match="lies outside"):
        pieces.join(tmp_path, tmp_path / "root")


@pytest.mark.parametrize(
    "before, after, message",
    [
        ("trusted: [val]", "trusted: [valley]", "trusted must name some of the folds"),
        ("margin:", "margins:", "margins"),
        ("margin: 0.003\n", "", "does not state margin"),
        (PLAN, "- a", "plan.yaml"),
        ("no_learning:", "recipe:", "need names of their own"),
        ("no_learning:", "no/learning:", "need names of their own"),
    ],
)
def test_bad_plans_are_refused(plan, capsys, before, after, message):
    plan.write_text(PLAN.replace(before, after))
    assert main(["search", str(plan)]) == 1
    assert message in capsys.readouterr().err


def test_a_run_that_fails_ends_the_search(plan, overrides, tmp_path, capsys):
    assert main(["search", str(plan), *overrides, "data.root=/nowhere", "-o", str(tmp_path / "search")]) == 1
    assert "recipe/val ended with exit code 1" in capsys.readouterr().err


def test_the_shipped_plan_can_be_followed():
    from bisenet_training.recipe import load_recipe

    plan = load_plan(TRAINING / "searches" / "camvid.yaml")
    for overrides in (*plan.folds.values(), *plan.changes.values(), *plan.final.values()):
        load_recipe(TRAINING / "searches" / plan.recipe, ["data.root=x", *overrides])
