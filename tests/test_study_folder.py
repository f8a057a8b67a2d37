"""The folder of studies: its manifest, its claims, and what looks after it."""

import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_small import study

import pncviz.study.manifest as manifest_module
from pncviz.exceptions import ResultError, StudyError
from pncviz.study import clean_study, run_study, study_status, verify_study
from pncviz.study.folder import Folder
from pncviz.study.identity import key_of
from pncviz.study.manifest import Line, Manifest
from pncviz.study.plan import make_plan

PLAN = {"strategy": ["zero", "noise"]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of two cells, one model and one contrast, done; not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert not run_study(study(PLAN), out).failed
    return out


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it, to be changed."""
    return Folder(shutil.copytree(finished, tmp_path / "out")).existing()


def one(folder, kind):
    """Give the first finished item's line of a kind."""
    return next(line for line in folder.manifest.lines.values() if line.kind == kind)


def flip(path, at=-50):
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


# ------------------------------------------------------------------------------ manifest

_LINES = st.builds(
    Line,
    kind=st.sampled_from(["cell", "model"]),
    key=st.text("0123456789abcdef", min_size=1, max_size=3),
    file=st.text(max_size=9),
    size=st.integers(0, 2**60),
    sha256=st.text("0123456789abcdef", max_size=64),
    seconds=st.floats(0, 1e6),
    identity=st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3),
)


@given(_LINES)
def test_lines_come_back(line):
    """A line is one line of text, from which the same comes back."""
    text = line.text().encode()
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")
    assert Line.read(text) == line


@given(_LINES, st.data())
def test_a_changed_line_is_none(line, data):
    """Whatever byte of a line is changed, it no longer counts, or still says the same."""
    text = bytearray(line.text().encode())
    at = data.draw(st.integers(0, len(text) - 2))
    text[at] ^= 1 << data.draw(st.integers(0, 7))
    assert Line.read(bytes(text)) in (None, line)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"3", b"\xff\xfe", b'{"sum": 1, "item": {}}', b"[" * 100_000]
)
def test_foreign_lines_are_none(text):
    """Nothing that is not a line of ours is taken for one, and nothing raises."""
    assert Line.read(text) is None


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans(), _LINES), max_size=8))
def test_two_instances_see_the_same(tmp_path_factory, steps):
    """Two that append and withdraw in turn agree with each other, and with one who comes later."""
    path = tmp_path_factory.mktemp("m") / "manifest.jsonl"
    both, expected = (Manifest(path), Manifest(path)), {}
    for who, takes_back, line in steps:
        if takes_back:
            both[who].refresh()
            both[who].withdraw(line.key)
            expected.pop(line.key, None)
        else:
            both[who].append(line)
            expected[line.key] = line
            if not line.file:
                del expected[line.key]
    for manifest in (*both, Manifest(path)):
        assert manifest.refresh() == expected
        assert manifest.damaged == 0
    assert both[0].history == both[1].history


def lines_of(path, n=3):
    """Write a manifest of n lines; give them."""
    lines = [Line("cell", f"{i:020x}", f"cells/{i}.nc", i, "0" * 64, 1.5, {"n": i}) for i in (1, 2)]
    lines += [Line("cell", "f" * 20, "cells/f.nc", 3, "0" * 64, 1.5, {"n": "é"})]
    for line in lines[:n]:
        Manifest(path).append(line)
    return lines[:n]


@pytest.mark.parametrize(
    "damage, kept, damaged",
    [
        (lambda text: text[:-10], [0, 1], 0),  # cut: may still be being written
        (lambda text: text.replace(b"\n", b"\r\n"), [0, 1, 2], 0),
        (lambda text: text[:20] + bytes([text[20] ^ 1]) + text[21:], [1, 2], 1),
        (lambda text: b"\xff\x00 what is this\n\n" + text + b"{}\n", [0, 1, 2], 2),
    ],
)
def test_a_damaged_manifest_keeps_its_whole_lines(tmp_path, damage, kept, damaged):
    """A cut end, Windows line ends, a flipped byte, foreign lines: the others count on."""
    path = tmp_path / "manifest.jsonl"
    lines = lines_of(path)
    path.write_bytes(damage(path.read_bytes()))
    manifest = Manifest(path)
    assert list(manifest.refresh().values()) == [lines[i] for i in kept]
    assert manifest.damaged == damaged


def test_a_line_after_half_a_line_is_whole(tmp_path):
    """Who appends after a cut line begins a new one; half a line is lost, and nothing else."""
    path = tmp_path / "manifest.jsonl"
    lines = lines_of(path)
    path.write_bytes(path.read_bytes()[:-10])
    manifest = Manifest(path)
    manifest.append(lines[2])
    assert list(manifest.refresh().values()) == lines
    assert manifest.damaged == 1


def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path, monkeypatch):
    """write() may take fewer bytes than it is given; none is lost."""
    write = os.write
    monkeypatch.setattr(manifest_module.os, "write", lambda fd, text: write(fd, text[:7]))
    lines = lines_of(tmp_path / "manifest.jsonl")
    assert list(Manifest(tmp_path / "manifest.jsonl").refresh().values()) == lines


def append_many(path, name):
    """Append twenty long lines."""
    for i in range(20):
        Manifest(path).append(Line("cell", f"{name}-{i}", "f", 1, "", 0.0, {"x": "y" * 9000}))


def test_many_processes_append_whole_lines(tmp_path):
    """Three processes of twenty lines each at once: sixty whole lines."""
    path = tmp_path / "manifest.jsonl"
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=append_many, args=(path, name)) for name in "abc"]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0, 0]
    manifest = Manifest(path)
    assert len(manifest.refresh()) == len(manifest.history) == 60
    assert manifest.damaged == 0


# -------------------------------------------------------------------------- being there


def test_a_folder_of_something_else_is_refused(tmp_path):
    """Results never go between somebody's other files, and none of those is touched."""
    (tmp_path / "thesis.tex").write_text("dear committee")
    with pytest.raises(StudyError, match="holds other things than a study"):
        run_study(study(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path):
    """A file in the folder's place, or above it, is told as such."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="is a file; name a folder"):
        run_study(study(), tmp_path / "file")
    with pytest.raises((StudyError, ResultError), match=r"cannot be (read|written): Not a dir"):
        run_study(study(), tmp_path / "file" / "out")


def test_a_read_only_folder_is_found_before_any_work(tmp_path, monkeypatch):
    """A folder that takes no files is told before anything is computed."""
    import pncviz.dataset.atomic as atomic

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(atomic.os, "open", refuse)
    seen = []
    with pytest.raises(ResultError, match="takes no files"):
        run_study(study(), tmp_path / "out", progress=seen.append)
    assert seen == []


@pytest.mark.parametrize("text", ['{"format": "pncviz-study", "format_version": 2}', "{", "[1]"])
def test_a_folder_of_another_format_is_refused(folder, text):
    """A newer layout, or a mark that nobody can read, is neither read nor written."""
    (folder.root / "study.json").write_text(text)
    before = (folder.root / "manifest.jsonl").read_bytes()
    for use in (study_status, verify_study, clean_study, lambda out: run_study(study(PLAN), out)):
        with pytest.raises(StudyError, match=r"study\.json (says .*newer|cannot be read)"):
            use(folder.root)
    assert (folder.root / "manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "left", [[], ["study.json"], [".study.json.1-0.pncviz-tmp"], ["study.json", "cells", "models"]]
)
def test_a_half_made_folder_is_made_whole(tmp_path, finished, left):
    """A kill while the folder is being made leaves something that the next run completes."""
    out = tmp_path / "out"
    out.mkdir()
    for name in left:
        if name == "study.json":
            shutil.copy(finished / name, out)
        elif name.startswith("."):
            (out / name).write_text("{")
        else:
            (out / name).mkdir()
    Folder(out).create()
    assert Folder(out).existing().files() == []
    made = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert made == {path.name for path in finished.iterdir() if "manifest" not in path.name}


def test_the_mark_is_made_first(tmp_path, monkeypatch):
    """A kill right after the first thing that is made leaves the mark, or nothing."""
    import pncviz.study.folder as module

    def die(root):
        assert list(root.iterdir()) == []
        raise KeyboardInterrupt("killed")

    monkeypatch.setattr(module, "mark", die)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        Folder(tmp_path / "out").create()


def test_leftovers_of_killed_processes_are_swept(folder):
    """Temporary files of dead processes go, in every place, when a run begins."""
    from pncviz.dataset.atomic import _host

    name = f".x.nc.{2**22 + 1}-{_host()}{'0' * 16}.pncviz-tmp"
    for place in (".", "cells", "models", "studies", "failures"):
        (folder.root / place / name).write_text("")
    folder.create()
    assert not list(folder.root.rglob("*.pncviz-tmp"))


def test_only_folders_of_studies_are_looked_after(tmp_path):
    """Status, verify and clean say what to do where no study was run."""
    for use in (study_status, verify_study, clean_study):
        with pytest.raises(StudyError, match=r"not the folder of a study.*study run FILE"):
            use(tmp_path)


def test_plans_come_back_and_are_named(folder):
    """The kept plan has the cells of the study; a name that there is not is told the others."""
    made = make_plan(study(PLAN))
    assert folder.plan().cells == folder.plan("small").cells == made.cells
    with pytest.raises(StudyError, match='holds no study "big"; name one of small'):
        folder.plan("big")
    folder.keep_plan(make_plan(study(PLAN, name="second")))
    with pytest.raises(StudyError, match="holds several studies; name one of second, small"):
        folder.plan()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "small", "cells": [{"x": 1}]}'])
def test_a_damaged_plan_is_told_and_written_anew(folder, text):
    """A plan that cannot be read is named with its file; running the study writes it anew."""
    (folder.root / "studies" / "small.json").write_text(text)
    with pytest.raises(StudyError, match=r"small\.json cannot be read.*writes it anew"):
        study_status(folder.root)
    assert run_study(study(PLAN), folder.root).reused == 2
    assert study_status(folder.root)[0].done == 2


# -------------------------------------------------------------------------------- claims


def test_a_claim_excludes_others_and_ends(folder):
    """While an item is claimed, nobody else gets it; afterwards anybody does."""
    other = Folder(folder.root)
    with folder.claimed("a" * 20) as first:
        with other.claimed("a" * 20) as second, other.claimed("b" * 20) as third:
            assert (first, second, third) == (True, False, True)
        assert other.is_claimed("a" * 20)
    assert not other.is_claimed("a" * 20)
    assert not other.is_claimed("c" * 20)
    assert not (folder.root / "claims" / ("c" * 20 + ".lock")).exists()


def test_the_claim_of_a_killed_process_is_free(folder):
    """The kernel frees what a killed process held."""
    code = (
        "import sys, time\nfrom pncviz.study.folder import Folder\n"
        f"with Folder(sys.argv[1]).claimed('{'a' * 20}') as mine:\n"
        "    print(mine, flush=True)\n    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, folder.root], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    assert folder.is_claimed("a" * 20)
    process.kill()
    process.communicate()
    assert not folder.is_claimed("a" * 20)


@pytest.mark.parametrize("error", [OSError(37, "no locks"), NotImplementedError("no flock")])
def test_without_locks_work_goes_on(folder, monkeypatch, error):
    """Where the file system has no locks, claims and lines are made without them."""
    import pncviz.study.locks as locks

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(locks.FileLock, "acquire", refuse)
    with folder.claimed("a" * 20) as mine:
        assert mine
    folder.manifest.append(Line("cell", "k", "f", 1, "", 0.0, {}))
    assert "k" in Folder(folder.root).existing().manifest.lines


# ------------------------------------------------------------------- status and verify


def test_status_counts_cells(folder):
    """Done, running, failed and missing cells add up, and failures are told."""
    plan = make_plan(study(PLAN | {"seed": [0, 1]}))
    folder.keep_plan(plan)
    new = [cell.key for cell in plan.cells if cell.key not in folder.manifest.lines]
    folder.fail(plan.items[new[0]], "ValueError: it \x1b[31mhurts", "Traceback …")
    with folder.claimed(new[1]):
        found = study_status(folder.root)[0]
    assert (found.done, found.failed, found.running, found.missing) == (2, 1, 1, 0)
    assert found.total == 4
    assert list(found.failures.values()) == ["ValueError: it \x1b[31mhurts"]
    assert study_status(folder.root)[0].missing == 1


def test_what_is_whole_has_no_problems(finished):
    """A finished study verifies."""
    assert verify_study(finished) == []


@pytest.mark.parametrize("kind", ["cell", "model", "contrast"])
@pytest.mark.parametrize(
    "damage, told",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "is damaged: .* bytes, not the"),
        (flip, "is damaged: its SHA-256 is not the manifest's"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_damage_is_told_once_and_healed(folder, kind, damage, told):
    """A file that is cut, flipped or gone is told by verify, and made anew by run, alone."""
    line = one(folder, kind)
    damage(folder.root / line.file)
    (problem,) = verify_study(folder.root)
    assert problem.startswith(line.file)
    assert problem.count(line.file) == 1
    assert re.search(told, problem)
    outcome = run_study(study(PLAN), folder.root)
    assert (outcome.computed, outcome.failed) == (1, {})
    assert outcome.reused == (1 if kind == "cell" else 2)
    assert any(line.file in why for why in outcome.reasons.values())
    assert verify_study(folder.root) == []


def test_swapped_files_are_told_and_healed(folder):
    """Two cells' files, exchanged, are both whole, and both wrong."""
    one_, other = (line for line in folder.manifest.lines.values() if line.kind == "cell")
    paths = [folder.root / line.file for line in (one_, other)]
    paths[0].rename(folder.root / "x")
    paths[1].rename(paths[0])
    (folder.root / "x").rename(paths[1])
    assert len(verify_study(folder.root)) == 2
    assert run_study(study(PLAN), folder.root).computed == 2
    assert verify_study(folder.root) == []


def test_a_file_of_something_else_is_told(folder):
    """A line that is whole, but not of what its file says or its key means, is told."""
    from dataclasses import replace

    line = one(folder, "cell")
    other = {**line.identity, "seed": 99}
    folder.manifest.append(replace(line, identity=other))
    (problem,) = verify_study(folder.root)
    assert problem == f"{line.file}: its line in the manifest names another identity than its key"
    folder.manifest.append(line)
    folder.manifest.append(replace(line, identity=other, key=key_of(other)))
    (problem,) = verify_study(folder.root)
    assert problem == f"{line.file} is the result of something else than its line says"


@pytest.mark.parametrize("n", [0, -1])
def test_a_finished_file_without_its_line_is_taken_over(folder, n):
    """A kill between file and line, or a damaged line, costs nothing: the file is listed."""
    path = folder.manifest.path
    lines = path.read_bytes().splitlines(keepends=True)
    if n == 0:
        lines[0] = lines[0][:50] + b"#" + lines[0][51:]
    else:
        del lines[-1]
    path.write_bytes(b"".join(lines))
    told = verify_study(folder.root)
    assert len(told) == (1 if n == 0 else 0)
    assert all("lines are damaged and count as not written" in problem for problem in told)
    outcome = run_study(study(PLAN), folder.root)
    assert (outcome.computed, outcome.done, outcome.failed) == (0, 2, {})
    assert verify_study(folder.root) == []
    assert run_study(study(PLAN), folder.root).reused == 2


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_without_its_line_is_not_taken_over(folder, damage):
    """What lacks its line is read whole before it counts."""
    line = one(folder, "cell")
    path = folder.manifest.path
    text = [text for text in path.read_bytes().splitlines(True) if line.key.encode() not in text]
    path.write_bytes(b"".join(text))
    damage(folder.root / line.file)
    outcome = run_study(study(PLAN), folder.root)
    assert (outcome.computed, outcome.reused) == (1, 1)
    assert "its file is not in the manifest" in str(outcome.reasons)
    assert verify_study(folder.root) == []


def test_a_file_of_another_cell_is_not_taken_over(folder):
    """A whole file under another cell's name is not that cell, whether listed or not."""
    first, second = (line for line in folder.manifest.lines.values() if line.kind == "cell")
    path = folder.manifest.path
    text = [text for text in path.read_bytes().splitlines(True) if second.key.encode() not in text]
    path.write_bytes(b"".join(text))
    shutil.copy(folder.root / first.file, folder.root / second.file)
    assert run_study(study(PLAN), folder.root).computed == 1
    assert verify_study(folder.root) == []


# --------------------------------------------------------------------------------- clean


def test_clean_removes_what_no_study_needs(folder):
    """Results of older settings go, with lines, failures and claims; nothing else does."""
    assert clean_study(folder.root) == []
    old = {line.key for line in folder.manifest.lines.values()}
    assert not run_study(study(PLAN, training={"batch_size": 2}), folder.root).failed
    (folder.root / "cells" / "mine.txt").write_text("a note of somebody's")
    (folder.root / "claims" / f"{'0' * 20}.lock").write_text("")
    would = clean_study(folder.root, dry_run=True)
    assert all(path.exists() for path in would)
    removed = clean_study(folder.root)
    assert removed == would
    kinds = sorted(path.parent.name for path in removed)
    assert kinds == ["cells", "cells", "claims", "models"]  # the contrast is still needed
    left = Folder(folder.root).existing()
    assert len(left.manifest.lines) == 4
    assert len(old & set(left.manifest.lines)) == 1
    assert verify_study(folder.root) == []
    assert (folder.root / "cells" / "mine.txt").exists()
    assert clean_study(folder.root) == []
    assert run_study(study(PLAN, training={"batch_size": 2}), folder.root).reused == 2


def test_clean_leaves_what_a_process_is_at(folder):
    """A claimed item is left, and not said to have been removed."""
    line = one(folder, "cell")
    (folder.root / "studies" / "small.json").write_text(
        json.dumps({"name": "small", "cells": []}), encoding="utf-8"
    )
    with Folder(folder.root).claimed(line.key):
        removed = clean_study(folder.root)
    assert line.key not in {path.stem for path in removed}
    assert (folder.root / line.file).exists()
    assert {path.stem for path in clean_study(folder.root)} == {line.key}


def test_clean_forgets_files_that_are_gone(folder):
    """A line whose file was removed by hand, and that nobody needs, is taken back."""
    folder.keep_plan(make_plan(study({"seed": [5]})))
    one_cell = one(folder, "cell")
    (folder.root / one_cell.file).unlink()
    assert len(verify_study(folder.root)) == 1
    clean_study(folder.root)
    assert verify_study(folder.root) == []


def test_what_is_finished_keeps_no_claim_and_no_failure(folder):
    """A runner that finds an item done by another removes what was kept until then."""
    from pncviz.study.work import work

    plan = make_plan(study(PLAN))
    item = plan.items[plan.cells[0].key]
    folder.fail(item, "ValueError: no", "trace")
    assert work(str(folder.root), item).state == "there"
    assert folder.failure(item.key) is None
    assert not (folder.root / "claims" / f"{item.key}.lock").exists()
