"""What making the results took, by the manifest of their folder, and what they can be known by."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pncviz.dataset.atomic import replacing
from pncviz.exceptions import StudyError
from pncviz.study.folder import Folder

RUNS = "paper-runs.json"


@dataclass(frozen=True)
class Work:
    """Of one folder.

    Attributes
    ----------
    seconds : dict of str to float
        Of one process, by study; what several share counts for the first.
    kinds : dict of str to float
        Seconds by kind of item.
    cells : dict of str to (int, int)
        Finished and all, by study.
    versions : dict of str to list of str
    data : dict of str to str
        SHA-256 of each dataset.
    sums : dict of str to str
        Of each study: SHA-256 over the keys and sums of its finished cells.
    runs : list of dict
        Of this package's command: wall seconds, jobs, items computed.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    kinds: dict[str, float] = field(default_factory=dict)
    cells: dict[str, tuple[int, int]] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)


def read_work(out: str | os.PathLike[str], studies: tuple[str, ...]) -> Work:
    """Read the manifest.

    Raises
    ------
    StudyError
        Not a study's folder.
    """
    folder = Folder(out).existing()
    work = Work(runs=_runs(folder.root))
    versions: dict[str, set[str]] = {}
    counted: set[str] = set()
    for name in studies:
        if name not in folder.studies():
            continue
        cells = folder.plan(name).cells
        needed = dict.fromkeys(key for c in cells for key in (*c.needs.values(), c.key))
        lines = [folder.manifest.lines[key] for key in needed if key in folder.manifest.lines]
        digest = hashlib.sha256()
        work.seconds[name] = 0.0
        for line in lines:
            if line.key not in counted:
                work.seconds[name] += line.seconds
                work.kinds[line.kind] = work.kinds.get(line.kind, 0.0) + line.seconds
            work.data[_data_name(line.identity["dataset"])] = line.identity["data"]
            for library, version in line.identity["versions"].items():
                versions.setdefault(library, set()).add(version)
            if line.kind == "cell":
                digest.update(f"{line.key} {line.sha256}\n".encode())
        counted.update(line.key for line in lines)
        keys = dict.fromkeys(cell.key for cell in cells)
        work.cells[name] = (sum(key in folder.manifest.lines for key in keys), len(keys))
        work.sums[name] = digest.hexdigest()
    work.versions.update({key: sorted(found) for key, found in sorted(versions.items())})
    return work


def _data_name(part: dict[str, Any]) -> str:
    given = ", ".join(f"{key}={value}" for key, value in sorted(part["params"].items()))
    return f"{part['name']} ({given})" if given else str(part["name"])


def _runs(root: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads((root / RUNS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise StudyError(f"{root / RUNS} is damaged; delete it.") from error
    return list(found)


def add_run(out: str | os.PathLike[str], *, seconds: float, jobs: int, computed: int) -> None:
    """Keep how long a run of this package took, beside what it made."""
    root = Path(out)
    at = time.strftime("%Y-%m-%d", time.gmtime())
    run = {"at": at, "seconds": round(seconds, 1), "jobs": jobs, "computed": computed}
    with replacing(root / RUNS) as temporary:
        temporary.write_text(json.dumps([*_runs(root), run], indent=1) + "\n", encoding="utf-8")
