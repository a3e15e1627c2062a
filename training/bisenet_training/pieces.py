"""Files in pieces that fit where large ones do not, and whole again."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Sequence

PIECE = 15 * 2**20
"""Bytes of a piece at most."""
INDEX = "pieces.json"


def split(root: Path, folder: Path, *, patterns: Sequence[str]) -> None:
    """Cuts the files under `root` that match into pieces in `folder`, in place of the pieces that lay there.

    The index names each file, its SHA-256 and its pieces, in order.

    Raises:
        ValueError: the folder holds something else than pieces, which would be lost.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX).is_file():
        raise ValueError(f"expected an empty or new folder for pieces, and {folder} holds other files; name another")
    # Beside it first, so that at no time there are no pieces.
    draft = folder.with_name(folder.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    index: Dict[str, Any] = {}
    count = 0
    for path in sorted(path for pattern in patterns for path in root.glob(pattern)):
        content = path.read_bytes()
        parts = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        names = [f"piece{count + number}.bin" for number in range(len(parts))]
        count += len(parts)
        for name, part in zip(names, parts):
            (draft / name).write_bytes(part)
        index[str(path.relative_to(root))] = {"sha256": hashlib.sha256(content).hexdigest(), "pieces": names}
    (draft / INDEX).write_text(json.dumps(index, indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    draft.rename(folder)


def join(folder: Path, root: Path) -> List[Path]:
    """Puts the files back under `root`; none where `folder` holds no index.

    Raises:
        ValueError: a piece is missing or was changed, the index is damaged, or a file would lie outside `root`.
    """
    listing = folder / INDEX
    if not listing.exists():
        return []
    try:
        index = {
            name: (entry["sha256"], list(entry["pieces"])) for name, entry in json.loads(listing.read_text()).items()
        }
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{listing} is damaged ({error!r}); bring the pieces again, or start anew") from None
    return [_put_back(folder, root, name, *entry) for name, entry in index.items()]


def _put_back(folder: Path, root: Path, name: str, sha256: str, pieces: List[str]) -> Path:
    path = root / name
    if root.resolve() not in path.resolve().parents:
        raise ValueError(f"{folder / INDEX} names {name!r}, which lies outside {root}; make the pieces anew")
    missing = [piece for piece in pieces if not (folder / piece).is_file()]
    if missing:
        raise ValueError(f"expected {', '.join(missing)} in {folder}, for {name}; bring all pieces, or start anew")
    content = b"".join((folder / piece).read_bytes() for piece in pieces)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the pieces of {name} in {folder} are not what was cut; bring them again, or start anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
