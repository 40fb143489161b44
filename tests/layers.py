#!/usr/bin/python3
"""layers.py - refuses an #include that points up the layers.

  tests/layers.py SOURCE_FOLDER

Each part may include itself and the parts below it, as ARCHITECTURE.md says.
A bundle's author sees the public headers only, so that the demonstrator uses
nothing that a stranger's application could not use."""

import pathlib
import re
import sys

PUBLIC = "include/inaetics"
LAYERS = {
    PUBLIC: {PUBLIC},
    "base": {PUBLIC, "base"},
    "framework": {PUBLIC, "base", "framework"},
    "remote": {PUBLIC, "base", "framework", "remote"},
    "agent": {PUBLIC, "base", "framework", "remote", "agent"},
    "cluster": {PUBLIC, "base", "cluster"},
    "cli": {PUBLIC, "base", "cluster", "cli"},
    "demonstrator": {PUBLIC, "demonstrator"},
    "examples": {PUBLIC, "examples"},
}
# Headers that the build makes, of contracts: seen by whoever uses the contract.
GENERATED = re.compile(r"\.(service|pb-c)\.h$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def part_of(path):
    """The part that a file (seen from the root) belongs to; None: of no layer."""
    name = path.as_posix()
    return next((part for part in LAYERS if name.startswith(part + "/")), None)


def resolve(root, file, quoted, name, headers):
    """The header that is meant, seen from the root; None: the system's, or the build's."""
    if name.startswith("inaetics/"):
        return pathlib.PurePosixPath("include", name)
    if not quoted or GENERATED.search(name):
        return None
    beside = (file.parent / name).resolve()
    if beside.is_file() and beside.is_relative_to(root):
        return beside.relative_to(root)
    if (root / name).is_file():
        return pathlib.PurePosixPath(name)
    # By a folder that the build has on the path: in the part itself if it is there.
    candidates = headers.get(pathlib.PurePosixPath(name).name, [])
    own = [path for path in candidates if part_of(path) == part_of(file.relative_to(root))]
    return (own or candidates or [None])[0]


def check(root):
    files = [path for part in LAYERS for suffix in ("h", "c") for path in sorted((root / part).rglob(f"*.{suffix}"))]
    headers = {}
    for path in files:
        headers.setdefault(path.name, []).append(path.relative_to(root))
    errors = []
    for file in files:
        own = part_of(file.relative_to(root))
        text = file.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            header = resolve(root, file, match[1] == '"', match[2], headers)
            part = part_of(header) if header else None
            if part and part not in LAYERS[own]:
                line = text.count("\n", 0, match.start()) + 1
                errors.append(f"{file.relative_to(root)}:{line}: {own} may not include {match[2]} of {part}; "
                              f"allowed are {', '.join(sorted(LAYERS[own]))}")
    return len(files), errors


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    count, errors = check(root)
    for error in errors:
        print(error)
    if count < 50:
        errors.append("too few")
        print(f"only {count} files found below {root}: wrong folder?")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
