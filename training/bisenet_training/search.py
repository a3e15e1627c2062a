"""Find out what improves a recipe, then train the final weights: `bisenet search PLAN.yaml data.root=...`.

A plan names a recipe, the folds to score it on, and changes to try one after the other. A change is kept when it pays
on the trusted folds. It all takes hours: run the same command again and it goes on where it was, also on a machine
that is lent for minutes only (--minutes, --pieces).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
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
from bisenet_training.train import DIVERGED

Overrides = List[str]
RESULTS = "results.json"
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
    if arguments.pieces:
        bring(arguments.pieces, arguments.output)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        search.run()
    except OutOfTime:
        print("out of time; the same command goes on")
        return OUT_OF_TIME
    finally:
        search.write_table()
        if arguments.pieces:
            split(arguments.output, arguments.pieces, patterns=(RESULTS, "*.onnx", "*/*/last.ckpt"))
    return 0


def bring(pieces: Path, output: Path) -> None:
    """Takes over from another machine that has come further."""
    with tempfile.TemporaryDirectory() as folder:
        join(pieces, Path(folder))
        if not output.exists() or len(read_results(Path(folder))) > len(read_results(output)):
            shutil.copytree(folder, output, dirs_exist_ok=True)


def read_results(output: Path) -> Dict[str, Any]:
    """What was scored so far, by "row/fold"."""
    path = output / RESULTS
    return json.loads(path.read_text()) if path.exists() else {}


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
    rows = ["recipe", *plan.changes, *plan.final]
    if len(set(rows)) < len(rows) or any("/" in name for name in (*rows, *plan.folds)):
        raise RecipeError(f"{path}: changes and finals need names of their own, without '/', got {rows[1:]}")
    unknown = sorted(set(plan.trusted) - set(plan.folds))
    if unknown or not plan.trusted:
        raise RecipeError(f"{path}: trusted must name some of the folds {sorted(plan.folds)}, got {plan.trusted}")
    return plan


class Search:
    """A greedy search: each change is tried on top of those kept so far.

    A run's score is that of its last weights: the best of many validations would flatter.
    """

    def __init__(self, plan: Plan, *, recipe: Path, overrides: Sequence[str], output: Path, deadline: float) -> None:
        self.plan = plan
        self.recipe = recipe
        self.overrides = list(overrides)
        self.output = output
        self.deadline = deadline
        self.kept: Dict[str, bool] = {}

    def run(self) -> None:
        overrides: Overrides = []
        best = self._row("recipe", overrides)
        for change, entries in self.plan.changes.items():
            score = self._row(change, overrides + entries)
            self.kept[change] = score >= best + self.plan.margin
            print(
                f"{change}: {100 * score:.1f} % against {100 * best:.1f} % on {', '.join(self.plan.trusted)}: "
                + ("kept" if self.kept[change] else f"dropped, the margin is {100 * self.plan.margin:.1f}")
            )
            if self.kept[change]:
                overrides, best = overrides + entries, score
        for name, entries in self.plan.final.items():
            self._final(name, overrides + entries)

    def _row(self, row: str, overrides: Overrides) -> float:
        """Trains on every fold; the mean mIoU over the trusted ones."""
        for fold, entries in self.plan.folds.items():
            settings = overrides + entries
            done = read_results(self.output).get(f"{row}/{fold}")
            if done and done["settings"] != self._told(settings):
                raise RecipeError(
                    f"{self.output} has a score of {row}/{fold} with {done['settings']}, and the plan now says "
                    f"{self._told(settings)}; name another --output, or take that entry out of {RESULTS}"
                )
            if not done:
                self._record(f"{row}/{fold}", settings, self._train(row, fold, settings))
        return self._trusted(row)

    def _told(self, settings: Overrides) -> Overrides:
        """All settings of a run, but for the data's place on this machine."""
        return [entry for entry in self.overrides + settings if not entry.startswith("data.root=")]

    def _trusted(self, row: str) -> float:
        results = read_results(self.output)
        return sum(results[f"{row}/{fold}"]["miou"] for fold in self.plan.trusted) / len(self.plan.trusted)

    def _final(self, name: str, overrides: Overrides) -> None:
        model = self.output / f"{name}.onnx"
        if model.exists():
            return
        checkpoint = self._train(name, "final", overrides)
        if checkpoint is None:
            raise RecipeError(f"the final run {name} diverged; its message is above")
        export(*load_checkpoint(checkpoint), model, weights="fp16")
        _remove_checkpoints(checkpoint.parent)
        print(f"wrote {model}, trained with {' '.join(overrides)}")

    def _train(self, row: str, fold: str, overrides: Overrides) -> Optional[Path]:
        """The finished run's last checkpoint; begun, or gone on with. None where it diverged."""
        folder = self.output / row
        settings = [*self.overrides, *overrides, f"name={fold}"]
        load_recipe(self.recipe, settings)  # an impossible one is named at once
        if time.monotonic() >= self.deadline:
            raise OutOfTime
        last = folder / fold / "last.ckpt"
        command = [sys.executable, "-m", "bisenet_ros.cli", "train", str(self.recipe), *settings, "-o", str(folder)]
        # In a group of its own, with the processes of other GPUs.
        process = subprocess.Popen([*command, "--resume"] if last.exists() else command, start_new_session=True)
        try:
            code = process.wait(timeout=None if math.isinf(self.deadline) else self.deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            raise OutOfTime from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code == DIVERGED:
            return None
        if code:
            raise RecipeError(f"the run {row}/{fold} ended with exit code {code}; its message is above")
        return last

    def _record(self, key: str, settings: Overrides, checkpoint: Optional[Path]) -> None:
        """Notes the scores and lets go of the weights, which only the final runs are to give."""
        entry: Dict[str, Any] = {"settings": self._told(settings), "miou": 0.0, "diverged": checkpoint is None}
        if checkpoint:
            card = load_checkpoint(checkpoint)[1]
            entry.update(
                miou=card.scores["val_miou"],
                iou=card.scores["val_iou"],
                iterations=card.training["iterations_done"],
                seed=card.training["run"]["seed"],
                seconds=card.training["seconds"],
                device=card.training["device"],
            )
        draft = self.output / f"{RESULTS}.new"
        draft.write_text(json.dumps({**read_results(self.output), key: entry}, indent=1))
        os.replace(draft, self.output / RESULTS)
        _remove_checkpoints(self.output / key)

    def write_table(self) -> None:
        """`RESULTS.md`: a row for everything tried, with its mIoU on each fold, seed and cost."""
        results = read_results(self.output)
        folds = list(self.plan.folds)
        lines = ["| change | " + " | ".join(folds) + " | trusted | kept | seed | hours | device |"]
        lines += ["|---" * (len(folds) + 6) + "|"]
        for row in ("recipe", *self.plan.changes):
            found = [results.get(f"{row}/{fold}", {}) for fold in folds]
            if not any(found):
                continue
            scores = [_percent(entry) for entry in found]
            is_scored = all(f"{row}/{fold}" in results for fold in self.plan.trusted)
            trusted = f"{100 * self._trusted(row):.1f}" if is_scored else ""
            kept = {True: "yes", False: "no", None: ""}[self.kept.get(row)]
            hours = sum(entry.get("seconds", 0) for entry in found) / 3600
            known: Dict[str, Any] = next((entry for entry in found if "seed" in entry), {})
            lines.append(
                f"| {row} | {' | '.join(scores)} | {trusted} | {kept} | {known.get('seed', '')} | {hours:.2f} "
                f"| {known.get('device', '')} |"
            )
        finals = [f"- {name}.onnx" for name in self.plan.final if (self.output / f"{name}.onnx").exists()]
        changes = ", ".join(change for change, kept in self.kept.items() if kept) or "no change"
        if finals:
            lines += ["", f"Final weights, trained with {changes}:", "", *finals]
        (self.output / "RESULTS.md").write_text("\n".join(lines) + "\n")


def _percent(entry: Dict[str, Any]) -> str:
    if not entry:
        return ""
    return "diverged" if entry["diverged"] else f"{100 * entry['miou']:.1f}"


def _remove_checkpoints(folder: Path) -> None:
    for path in folder.glob("*.ckpt"):
        path.unlink()
