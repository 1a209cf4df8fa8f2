"""Reads a package, and finds and names every byte that is not as it was sealed."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from sys import intern
from typing import Any

MANIFEST = "manifest.json"
VERSION = 4
AT_ONCE = 1 << 16  # bytes
Record = dict[str, Any]
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: {intern(name): value for name, value in pairs})


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be. `difference` is in micro-yuan, 0 where no money is."""

    file: str
    place: str
    says: str
    difference: int = 0

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.says}" if self.place else f"{self.file}: {self.says}"


@dataclass(frozen=True)
class Package:
    """The manifest, and the records of each file. What may be long is read record by record."""

    folder: Path
    manifest: Record
    counts: dict[str, int] = field(default_factory=dict)  # of the records of each file that was read to its end
    _kept: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def period(self) -> Record:
        """Begin, end, closed periods, providers, sides, chips, awards."""
        return self.of("period.json")[0]

    @property
    def party(self) -> tuple[str, str] | None:
        """Role and name of the one whose statement alone it is for; None of a whole period."""
        told = self.manifest["party"]
        return None if told is None else (told["role"], told["name"])

    def of(self, name: str) -> list[Record]:
        """All records of a file that is not long."""
        if name not in self._kept:
            self._kept[name] = list(self.each(name))
        return self._kept[name]

    def each(self, name: str) -> Iterator[Record]:
        """The records of a file, one after the other."""
        return (parsed(line) for _, line in self.lines(name))

    def lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """The lines of a file that say something, each with the place of its first byte."""
        if name not in self.manifest["files"]:
            raise LookupError(f"{name} is not in the manifest")
        place = found = 0
        with (self.folder / name).open("rb") as file:
            for line in file:
                if line != b"\n":
                    yield place, line
                    found += 1
                place += len(line)
        self.counts[name] = found


def damage(folder: Path) -> Iterator[Finding]:
    """Every change since the package was sealed: the file, and the bytes and lines of it."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        yield Finding(MANIFEST, "", f"cannot be read: {error.strerror}")
        return
    manifest = _sealed(text)
    if manifest is None:
        yield Finding(
            MANIFEST, f"bytes 0 to {len(text) - 1}", "its seal does not fit what it says: some byte was changed"
        )
        manifest = _as_json(text)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        return
    named = set(manifest["files"]) | {MANIFEST}
    for path in sorted(folder.iterdir()):
        if path.name not in named:
            yield Finding(path.name, "", "is not in the manifest: it was added")
    for name, sealed in manifest["files"].items():
        yield from _changes(folder / name, sealed, manifest.get("block_bytes"))


def read(folder: Path) -> Package:
    """The package; only what is undamaged can be read. Raises: ValueError, OSError, and so does reading its records."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if manifest["version"] != VERSION:
        raise ValueError(
            f"version {manifest['version']} of the package is not {VERSION}; take the audit of that version"
        )
    return Package(folder, manifest)


def parsed(line: bytes) -> Record:
    """The record of a line, with one copy of the names that all have. Raises: ValueError."""
    record: Record = _DECODER.decode(line.decode("utf-8"))
    return record


def canonical(record: object) -> str:
    """A record as the package writes it."""
    return _ENCODER.encode(record)


def sha256(text: str) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _sealed(text: bytes) -> Record | None:
    """The manifest; None when its seal is broken, or it is not written as it must be."""
    found = _as_json(text)
    if not isinstance(found, dict) or text.decode("utf-8") != canonical(found) + "\n":
        return None
    body = {key: value for key, value in found.items() if key != "seal"}
    return found if found.get("seal") == sha256(canonical(body)) else None


def _as_json(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8"))
    except ValueError:
        return None


def _changes(path: Path, sealed: Any, block_bytes: Any) -> Iterator[Finding]:
    try:
        size, whole = _size_and_hash(path)
    except OSError as error:
        yield Finding(path.name, "", f"cannot be read: {error.strerror}")
        return
    if not isinstance(sealed, dict) or whole == sealed.get("sha256"):
        return
    blocks, has_moved = sealed.get("blocks"), size != sealed.get("bytes")
    if isinstance(blocks, list) and isinstance(block_bytes, int) and block_bytes > 0:
        yield from _changed_blocks(path, blocks, min(block_bytes, max(size, 1)), has_moved=has_moved)
    if has_moved:
        yield Finding(path.name, "", f"has {size} bytes, {sealed.get('bytes')} were sealed")
    else:
        yield Finding(path.name, "", "its hash is not the one in the manifest")


def _size_and_hash(path: Path) -> tuple[int, str]:
    size, whole = 0, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(AT_ONCE):
            size += len(piece)
            whole.update(piece)
    return size, whole.hexdigest()


def _changed_blocks(path: Path, blocks: list[Any], block_bytes: int, *, has_moved: bool) -> Iterator[Finding]:
    """The blocks that are not as sealed; only the first one of a file whose bytes have moved."""
    first = 1  # line of the block
    with path.open("rb") as file:
        for number in count():
            block, start = file.read(block_bytes), number * block_bytes
            if not block and number:
                return
            if number >= len(blocks) or hashlib.sha256(block).hexdigest()[:16] != blocks[number]:
                last = first + block.rstrip(b"\n").count(b"\n")
                place = f"bytes {start} to {start + max(len(block), 1) - 1}, lines {first} to {last}"
                yield Finding(path.name, place, "are not what was sealed: some byte was changed")
                if has_moved:
                    return
            first += block.count(b"\n")
