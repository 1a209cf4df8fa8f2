"""Reads a package, and finds and names every byte that is not as it was sealed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
VERSION = 4
Record = dict[str, Any]


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
    """The records of each file, and the manifest."""

    manifest: Record
    records: Mapping[str, list[Record]]

    @property
    def period(self) -> Record:
        """Begin, end, closed periods, providers, sides, chips, awards."""
        return self.records["period.json"][0]

    @property
    def party(self) -> tuple[str, str] | None:
        """Role and name of the one whose statement alone it is for; None of a whole period."""
        told = self.manifest["party"]
        return None if told is None else (told["role"], told["name"])

    def of(self, name: str) -> list[Record]:
        """The records of a file."""
        return self.records[name]


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
    """The package; only what is undamaged can be read. Raises: ValueError, OSError."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if manifest["version"] != VERSION:
        raise ValueError(
            f"version {manifest['version']} of the package is not {VERSION}; take the audit of that version"
        )
    records = {}
    for name in manifest["files"]:
        text = (folder / name).read_text(encoding="utf-8")
        records[name] = [json.loads(line) for line in text.split("\n") if line]
    return Package(manifest, records)


def canonical(record: object) -> str:
    """A record as the package writes it."""
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


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
        data = path.read_bytes()
    except OSError as error:
        yield Finding(path.name, "", f"cannot be read: {error.strerror}")
        return
    if not isinstance(sealed, dict) or hashlib.sha256(data).hexdigest() == sealed.get("sha256"):
        return
    blocks = sealed.get("blocks")
    if isinstance(blocks, list) and isinstance(block_bytes, int) and block_bytes > 0:
        for number, start in enumerate(range(0, max(len(data), 1), block_bytes)):
            block = data[start : start + block_bytes]
            if number >= len(blocks) or hashlib.sha256(block).hexdigest()[:16] != blocks[number]:
                first = data.count(b"\n", 0, start) + 1
                last = first + block.rstrip(b"\n").count(b"\n")
                place = f"bytes {start} to {start + max(len(block), 1) - 1}, lines {first} to {last}"
                yield Finding(path.name, place, "are not what was sealed: some byte was changed")
                if len(data) != sealed.get("bytes"):
                    break  # all that follows has moved
    if len(data) != sealed.get("bytes"):
        yield Finding(path.name, "", f"has {len(data)} bytes, {sealed.get('bytes')} were sealed")
    else:
        yield Finding(path.name, "", "its hash is not the one in the manifest")
