"""Find out what improves a recipe, then train the final weights: `bisenet search PLAN.yaml data.root=...`.

A plan names a recipe, the folds to score it on, and changes to try one after the other. A change is kept when it pays
on the trusted folds. It all takes hours: run the same command again and it goes on where it was, also on a machine
that is lent for minutes only (--minutes, --pieces).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisenet_ros.export import export, load_checkpoint
from bisenet_training.pieces import join, split
from bisenet_training.recipe import RecipeError, load_recipe

Overrides = List[str]
OUT_OF_TIME = 3
"""The exit code of a search that is to be started again."""


@dataclass
class Plan:
    """What to search; every list holds overrides such as `run.iterations=20000`."""

    recipe: str = MISSING  # relative to the plan
    folds: Dict[str, List[str]] = MISSING
    trusted: List[str] = MISSING  # the folds whose mean mIoU decides
    margin: float = MISSING  # by how much a change must raise it
    changes: Dict[str, List[str]] = MISSING
    final: Dict[str, List[str]] = MISSING  # by name; trained with the changes that were kept


class OutOfTime(Exception):
    """The minutes are over, and a run goes on another time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Tries a plan's changes one after the other, keeps those that pay, and trains the final weights. "
        f"Exits with {OUT_OF_TIME} when --minutes are over: the same command goes on."
    )
    parser.add_argument("plan", type=Path, help="a plan, such as training/searches/camvid.yaml")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="entries for every run, such as data.root=..."
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs/search"), help="where runs and results are kept"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument(
        "--pieces",
        type=Path,
        metavar="FOLDER",
        help="keep results and the unfinished run there too, in files of at most 15 MiB, and go on from them",
    )


def run(arguments: argparse.Namespace) -> int:
    plan = load_plan(arguments.plan)
    search = Search(
        plan,
        recipe=arguments.plan.parent / plan.recipe,
        overrides=arguments.overrides,
        output=arguments.output,
        deadline=time.monotonic() + 60 * arguments.minutes,
    )
    if arguments.pieces and not arguments.output.exists():
        join(arguments.pieces, arguments.output)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        search.run()
    except OutOfTime:
        print("out of time; the same command goes on")
        return OUT_OF_TIME
    finally:
        search.write_table()
        if arguments.pieces:
            split(arguments.output, arguments.pieces, patterns=("results.json", "*.onnx", "*/*/last.ckpt"))
    return 0


def load_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        RecipeError: the file cannot be read, or an entry is unknown, missing or of the wrong type.
    """
    try:
        entries = OmegaConf.load(path)
        if not isinstance(entries, DictConfig):
            raise RecipeError(f"{path} must hold entries such as `recipe: camvid.yaml`, got {type(entries).__name__}")
        merged = OmegaConf.merge(OmegaConf.structured(Plan), entries)
    except (OSError, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from None
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise RecipeError(f"{path} does not state {', '.join(missing)}")
    plan: Plan = OmegaConf.to_object(merged)  # type: ignore[assignment]
    unknown = sorted(set(plan.trusted) - set(plan.folds))
    if unknown or not plan.trusted:
        raise RecipeError(f"{path}: trusted must name some of the folds {sorted(plan.folds)}, got {plan.trusted}")
    return plan


class Search:
    """A greedy search: each change is tried on top of those kept so far.

    `results` maps "row/fold" to the best checkpoint's scores; a row is "recipe", a change, or a final network.
    """

    def __init__(self, plan: Plan, *, recipe: Path, overrides: Sequence[str], output: Path, deadline: float) -> None:
        self.plan = plan
        self.recipe = recipe
        self.overrides = list(overrides)
        self.output = output
        self.deadline = deadline
        self.results_file = output / "results.json"

    def run(self) -> None:
        kept: Overrides = []
        best = self._row("recipe", kept)
        for change, overrides in self.plan.changes.items():
            score = self._row(change, kept + overrides)
            if score >= best + self.plan.margin:
                kept, best = kept + overrides, score
        for name, overrides in self.plan.final.items():
            self._final(name, kept + overrides)

    @property
    def results(self) -> Dict[str, Any]:
        return json.loads(self.results_file.read_text()) if self.results_file.exists() else {}

    def _row(self, row: str, overrides: Overrides) -> float:
        """Trains on every fold; the mean mIoU over the trusted ones."""
        for fold, split_overrides in self.plan.folds.items():
            if f"{row}/{fold}" not in self.results:
                checkpoint = self._train(row, fold, overrides + split_overrides)
                self._record(f"{row}/{fold}", overrides, checkpoint)
        return self._trusted(row)

    def _trusted(self, row: str) -> float:
        results = self.results
        return sum(results[f"{row}/{fold}"]["miou"] for fold in self.plan.trusted) / len(self.plan.trusted)

    def _final(self, name: str, overrides: Overrides) -> None:
        model = self.output / f"{name}.onnx"
        if model.exists():
            return
        checkpoint = self._train(name, "final", overrides)
        export(*load_checkpoint(checkpoint), model, weights="fp16")
        _remove_checkpoints(checkpoint.parent)

    def _train(self, row: str, fold: str, overrides: Overrides) -> Path:
        """The finished run's best checkpoint, or its last where nothing is scored; begun or gone on with."""
        folder = self.output / row
        settings = [*self.overrides, *overrides, f"name={fold}"]
        load_recipe(self.recipe, settings)  # an impossible one is named at once
        if time.monotonic() >= self.deadline:
            raise OutOfTime
        last = folder / fold / "last.ckpt"
        command = [sys.executable, "-m", "bisenet_ros.cli", "train", str(self.recipe), *settings, "-o", str(folder)]
        process = subprocess.Popen([*command, "--resume"] if last.exists() else command)
        try:
            code = process.wait(timeout=None if math.isinf(self.deadline) else self.deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            raise OutOfTime from None
        finally:
            process.kill()
            process.wait()
        if code:
            raise RecipeError(f"the run {row}/{fold} ended with exit code {code}; its message is above")
        best = folder / fold / "best.ckpt"
        return best if best.exists() else last

    def _record(self, key: str, overrides: Overrides, checkpoint: Path) -> None:
        """Notes the scores and lets go of the weights, which only the final runs are to give."""
        card = load_checkpoint(checkpoint)[1]
        entry = {
            "overrides": overrides,
            "miou": card.scores["val_miou"],
            "iou": card.scores["val_iou"],
            "iteration": card.scores["iteration"],
            "seed": card.training["run"]["seed"],
            "seconds": card.training["seconds"],
            "device": card.training["device"],
        }
        self.results_file.write_text(json.dumps({**self.results, key: entry}, indent=1))
        _remove_checkpoints(checkpoint.parent)

    def write_table(self) -> None:
        """`RESULTS.md`: a row for everything tried, with its mIoU on each fold, seed and cost."""
        results = self.results
        folds = list(self.plan.folds)
        lines = ["| change | " + " | ".join(folds) + " | trusted | seed | hours | device |"]
        lines += ["|---" * (len(folds) + 5) + "|"]
        for row in ("recipe", *self.plan.changes):
            found: List[Optional[Dict[str, Any]]] = [results.get(f"{row}/{fold}") for fold in folds]
            done = [entry for entry in found if entry]
            if not done:
                continue
            scores = [f"{100 * entry['miou']:.1f}" if entry else "" for entry in found]
            trusted = (
                f"{100 * self._trusted(row):.1f}" if all(f"{row}/{f}" in results for f in self.plan.trusted) else ""
            )
            hours = sum(entry["seconds"] for entry in done) / 3600
            lines.append(
                f"| {row} | {' | '.join(scores)} | {trusted} | {done[0]['seed']} | {hours:.2f} | {done[0]['device']} |"
            )
        (self.output / "RESULTS.md").write_text("\n".join(lines) + "\n")


def _remove_checkpoints(folder: Path) -> None:
    for path in folder.glob("*.ckpt"):
        path.unlink()
