#!/usr/bin/python3
"""arrange.py - puts bundles into the folders that agents run.

  arrange.py STAMP FOLDER NAME=ZIP...

Each ZIP is put to FOLDER/NAME at once or not at all, since agents may read it
now; what else was there is removed."""

import os
import pathlib
import shutil
import sys

stamp, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
wanted = dict(argument.split("=", 1) for argument in sys.argv[3:])
for name, source in wanted.items():
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, fresh)
    os.replace(fresh, target)
for path in folder.glob("*/*"):
    if str(path.relative_to(folder)) not in wanted:
        path.unlink()
stamp.touch()
