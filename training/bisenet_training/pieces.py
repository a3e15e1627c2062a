"""Files in pieces that fit where large ones do not, and whole again."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Dict, List, Sequence

PIECE = 15 * 2**20
"""Bytes of a piece at most."""
INDEX = "pieces.json"


def split(root: Path, folder: Path, *, patterns: Sequence[str]) -> None:
    """Cuts the files under `root` that match into pieces in `folder`, in place of what lay there.

    The index names each file, its SHA-256 and its pieces, in order.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    index = {}
    count = 0
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        content = path.read_bytes()
        parts = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        names = [f"piece{count + number}.bin" for number in range(len(parts))]
        count += len(parts)
        for name, part in zip(names, parts):
            (folder / name).write_bytes(part)
        index[str(path.relative_to(root))] = {"sha256": hashlib.sha256(content).hexdigest(), "pieces": names}
    (folder / INDEX).write_text(json.dumps(index, indent=1))


def join(folder: Path, root: Path) -> List[Path]:
    """Puts the files back under `root`; none where `folder` holds no index.

    Raises:
        ValueError: a piece is missing or was changed, or a file would lie outside `root`.
    """
    listing = folder / INDEX
    if not listing.exists():
        return []
    index: Dict[str, Dict] = json.loads(listing.read_text())
    return [_put_back(folder, root, name, entry) for name, entry in index.items()]


def _put_back(folder: Path, root: Path, name: str, entry: Dict) -> Path:
    path = root / name
    if root.resolve() not in path.resolve().parents:
        raise ValueError(f"{folder / INDEX} names {name!r}, which lies outside {root}; make the pieces anew")
    missing = [piece for piece in entry["pieces"] if not (folder / piece).is_file()]
    if missing:
        raise ValueError(f"expected {', '.join(missing)} in {folder}, for {name}; bring all pieces, or start anew")
    content = b"".join((folder / piece).read_bytes() for piece in entry["pieces"])
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"the pieces of {name} in {folder} are not what was cut; bring them again, or start anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
