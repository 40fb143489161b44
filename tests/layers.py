#!/usr/bin/python3
"""Refuses an #include that points up the layers (ARCHITECTURE.md, "The parts").

    layers.py ROOT          checks the tree; a violation is a line on stderr and status 1
    layers.py --self-check  shows that planted violations are found and right code is not
"""

import os
import re
import subprocess
import sys
import tempfile

# What the code of each folder may include. "include" are the public headers,
# all that a bundle by a stranger sees.
LAYERS = {
    "include": {"include"},
    "base": {"include", "base"},
    "framework": {"include", "base", "framework"},
    "remote": {"include", "base", "framework", "remote"},
    "provisioning": {"include", "base", "framework", "provisioning"},
    "agent": {"include", "base", "framework", "remote", "provisioning", "agent"},
    "kube": {"include", "base", "kube"},
    "cluster": {"include", "base", "kube", "cluster"},
    "coordinator": {"include", "base", "framework", "kube", "coordinator"},
    "cli": {"include", "base", "framework", "kube", "cluster", "coordinator", "provisioning", "cli"},
    "demonstrator": {"include", "demonstrator"},
    "examples": {"include", "examples"},
}
# These may include anything: they stand above all layers.
FREE = {"tests", "tools"}
SOURCES = (".c", ".h", ".cc", ".cpp", ".hpp", ".inc", ".c.in", ".h.in")

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
INCLUDE = re.compile(r"^[ \t]*(?:\#|%:)[ \t]*include(?:_next)?\b[ \t]*(.*?)[ \t]*(?://.*)?$", re.MULTILINE)
NAME = re.compile(r'(?:"([^"]+)"|<([^>]+)>)')


def sources(root):
    """Paths below root of all sources, without hidden folders and those of builds."""
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if not name.startswith("build")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SOURCES):
                yield os.path.relpath(os.path.join(folder, name), root)


def includes(path):
    """Line and rest of line of each #include, in code."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read().replace("\\\n", "")
    text = COMMENT.sub(lambda match: "\n" * match.group().count("\n") or " ", text)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1)


def layer(path):
    return path.split(os.sep, 1)[0] if os.sep in path else ""


class Tree:
    def __init__(self, root):
        self.root = root
        self.paths = list(sources(root))
        self.by_name = {}
        for path in self.paths:
            self.by_name.setdefault(os.path.basename(path), []).append(path)

    def targets(self, path, name, quoted):
        """The project's files that `name` may be in `path`, as a compiler with any of our include folders would find it."""
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        candidates = [beside] if quoted else []
        candidates += [os.path.normpath(name), os.path.normpath(os.path.join("include", name))]
        for candidate in candidates:
            if os.path.isfile(os.path.join(self.root, candidate)):
                return [candidate]
        if not quoted and os.path.exists(os.path.join("/usr/include", name)):
            return []
        found = [other for other in self.by_name.get(os.path.basename(name), [])
                 if other.endswith(os.sep + os.path.normpath(name).lstrip("./"))]
        own = [other for other in found if layer(other) == layer(path)]
        return own or found

    def violations(self):
        for path in self.paths:
            here = layer(path)
            if here in FREE:
                continue
            if here not in LAYERS:
                yield f"{path}: folder \"{here}\" has no place in the layers; give it one in tests/layers.py"
                continue
            for line, rest in includes(os.path.join(self.root, path)):
                problem = self.check(path, here, rest)
                if problem:
                    yield f"{path}:{line}: {problem}"

    def check(self, path, here, rest):
        match = NAME.match(rest)
        if not match:
            return f"#include {rest}: say the name, a macro hides where it points"
        quoted = match.group(1) is not None
        name = match.group(1) or match.group(2)
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if os.path.isabs(name) or beside.startswith(".."):
            return f"#include {rest} leaves the project"
        targets = self.targets(path, name, quoted)
        if not targets and layer(name) in LAYERS.keys() | FREE:
            targets = [name]  # not there (yet), but says where it is
        for target in targets:
            if layer(target) not in LAYERS[here]:
                allowed = ", ".join(sorted(LAYERS[here]))
                return f"{here} may not include {target}; it may include what is in: {allowed}"
        return None


def check(root):
    tree = Tree(root)
    found = list(tree.violations())
    for violation in found:
        print(violation, file=sys.stderr)
    checked = sum(layer(path) in LAYERS for path in tree.paths)
    if checked == 0:
        print(f"{root}: there are no sources to check", file=sys.stderr)
        return 1
    print(f"{checked} files, {len(found)} violations")
    return 1 if found else 0


# --- the check of the check ---------------------------------------------------

RIGHT = {
    "include/inaetics/error.h": "#include <stdarg.h>\n",
    "include/inaetics/bundle.h": "#include <inaetics/error.h>\n",
    "base/map.h": "#include <stddef.h>\n",
    "base/map.c": '#include "map.h"\n#include <inaetics/error.h>\n// #include "agent/agent.h"\n',
    "base/strange.c": '/* #include "agent/agent.h"\n#include "remote/wire.h" */\n#include <error.h>\n',
    "framework/registry.h": '#include "base/map.h"\n',
    "framework/internal.h": "#include <base/map.h>\n",
    "framework/deep/in.c": '#include "../registry.h"\n#include "framework/internal.h"\n',
    "remote/wire.h": '#include "framework/registry.h"\n',
    "agent/agent.h": '#include "remote/wire.h"\n#include "base/map.h"\n',
    "cluster/node.c": '#include "base/map.h"\n',
    "coordinator/core.c": '#include "framework/registry.h"\n',
    "demonstrator/ledger.h": "",
    "demonstrator/queue/queue.c": '#include <inaetics/bundle.h>\n#include "ledger.h"\n#include "queue.service.h"\n'
                                  "#include <sqlite3.h>\n#include <queue.pb-c.h>\n#include <sys/stat.h>\n",
    "tests/any.c": '#include "agent/agent.h"\n#include "demonstrator/ledger.h"\n',
    "build/base/generated.c": '#include "agent/agent.h"\n',
}

# Path, text, and what the violation says.
PLANTED = [
    ("include/inaetics/bad.h", '#include "base/map.h"', "include may not include base/map.h"),
    ("include/inaetics/bad.h", "#include <base/map.h>", "include may not include base/map.h"),
    ("base/bad.c", '#include "framework/registry.h"', "base may not include framework/registry.h"),
    ("base/bad.c", '#include "../framework/registry.h"', "base may not include framework/registry.h"),
    ("base/bad.c", "#include <framework/registry.h>", "base may not include framework/registry.h"),
    ("base/bad.c", '#include "registry.h"', "base may not include framework/registry.h"),
    ("base/bad.c", "#include <registry.h>", "base may not include framework/registry.h"),
    ("base/bad.c", '#include "framework/not_there_yet.h"', "base may not include framework/not_there_yet.h"),
    ("base/bad.c", '  #  include"agent/agent.h"  // why', "base may not include agent/agent.h"),
    ("base/bad.c", '#inc\\\nlude "agent/agent.h"', "base may not include agent/agent.h"),
    ("base/bad.c", '%:include "agent/agent.h"', "base may not include agent/agent.h"),
    ("base/bad.c", '/* harmless */ #include "agent/agent.h"', "base may not include agent/agent.h"),
    ("base/bad.c", '#include /* why */ "agent/agent.h"', "base may not include agent/agent.h"),
    ("base/bad.c", "#define HEADER <agent/agent.h>\n#include HEADER", "a macro hides"),
    ("base/bad.c", '#include "../../outside.h"', "leaves the project"),
    ("base/bad.c", '#include "/usr/outside.h"', "leaves the project"),
    ("base/bad.c", '#include "tests/any.c"', "base may not include tests/any.c"),
    ("framework/bad.h", '#include "remote/wire.h"', "framework may not include remote/wire.h"),
    ("remote/bad.c", '#include "agent/agent.h"', "remote may not include agent/agent.h"),
    ("cluster/bad.c", '#include "framework/registry.h"', "cluster may not include framework/registry.h"),
    ("provisioning/bad.c", '#include "cluster/node.c"', "provisioning may not include cluster/node.c"),
    ("coordinator/bad.c", '#include "remote/wire.h"', "coordinator may not include remote/wire.h"),
    ("agent/bad.c", '#include "demonstrator/ledger.h"', "agent may not include demonstrator/ledger.h"),
    ("demonstrator/bad.c", '#include "base/map.h"', "demonstrator may not include base/map.h"),
    ("demonstrator/queue/bad.c", '#include "../../base/map.h"', "demonstrator may not include base/map.h"),
    ("demonstrator/queue/bad.c", '#include "map.h"', "demonstrator may not include base/map.h"),
    ("examples/bad.c", '#include "framework/registry.h"', "examples may not include framework/registry.h"),
    ("novel/bad.c", "#include <stdio.h>", 'folder "novel" has no place in the layers'),
]


def write(root, path, text):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def run(root):
    return subprocess.run([sys.executable, os.path.abspath(__file__), root], capture_output=True, text=True, check=False)


def self_check():
    wrong = []
    with tempfile.TemporaryDirectory() as root:
        for path, text in RIGHT.items():
            write(root, path, text)
        result = run(root)
        if result.returncode != 0:
            wrong.append(f"right code is refused:\n{result.stderr}")
        for path, text, message in PLANTED:
            write(root, path, text + "\n")
            result = run(root)
            if result.returncode == 0 or message not in result.stderr or result.stderr.count("\n") != 1:
                wrong.append(f"{path} with\n{text}\nexpected: {message}\nfound: {result.stderr or 'nothing'}")
            os.remove(os.path.join(root, path))
            if not os.listdir(os.path.join(root, os.path.dirname(path))):
                os.rmdir(os.path.join(root, os.path.dirname(path)))
    with tempfile.TemporaryDirectory() as root:
        if run(root).returncode == 0:
            wrong.append("a tree without sources is taken for right")
    for problem in wrong:
        print(problem, file=sys.stderr)
    print(f"{len(PLANTED) + 2} cases, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(self_check() if sys.argv[1] == "--self-check" else check(sys.argv[1]))
