#!/usr/bin/python3
"""embed.py - makes C strings of files: embed.py OUTPUT.c FILE.template..."""
import json
import pathlib
import sys

output, *files = sys.argv[1:]
text = '#include "cli/new/templates.h"\n\nconst Template templates[] = {\n'
for file in map(pathlib.Path, files):
    lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    text += f"    {{{json.dumps(file.name.removesuffix('.template'))},\n"
    text += "".join(f"     {json.dumps(line)}\n" for line in lines) + "    },\n"
text += "    {0},\n};\n"
pathlib.Path(output).write_text(text, encoding="ascii")
