#!/usr/bin/python3
"""tools/fetch-server, with a package archive of its own instead of the network."""

import os
import pathlib
import shutil
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "fetch-server"

APT_GET = """#!/bin/bash
while [[ $1 == -* ]]; do case $1 in -o) shift 2 ;; *) shift ;; esac; done
echo "$@" >>"$ARCHIVE/asked"
case $1 in
update) [ -e "$ARCHIVE/update-brings" ] && mv "$ARCHIVE"/update-brings/*.deb "$ARCHIVE/"; exit 0 ;;
download) cp "$ARCHIVE/$2"_*.deb . 2>/dev/null || { echo "E: Unable to locate package $2" >&2; exit 100; } ;;
esac
"""
APT_CACHE = """#!/bin/bash
for package; do :; done
cat "$ARCHIVE/$package.depends" 2>/dev/null || true
"""
DPKG_QUERY = "#!/bin/bash\nexit 1\n"
# "Lacks" the library until the path to it is known.
LDD = """#!/bin/bash
[ -e "$1.needs" ] || exit 0
need=$(cat "$1.needs")
IFS=:
for folder in $LD_LIBRARY_PATH; do [ -e "$folder/$need" ] && exit 0; done
echo "	$need => not found"
"""


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    (folder / "bin").mkdir(parents=True)
    for name, text in {"apt-get": APT_GET, "apt-cache": APT_CACHE, "dpkg-query": DPKG_QUERY, "ldd": LDD}.items():
        write_program(folder / "bin" / name, text)
    return folder


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make_package(archive, name, files, depends=(), folder="."):
    root = archive.parent / "make" / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n")
    for path, text in files.items():
        write_program(root / path, text)
    (archive / folder).mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, archive / folder / f"{name}_1_all.deb"],
                   check=True, stdout=subprocess.DEVNULL)
    (archive / f"{name}.depends").write_text("".join(f"  Depends: {other}\n" for other in depends))


def fetch(archive, package, program, build, *options):
    environment = {"PATH": f"{archive / 'bin'}:/usr/bin:/bin", "ARCHIVE": str(archive)}
    return subprocess.run([TOOL, *options, package, program, build], capture_output=True, text=True, env=environment,
                          timeout=60, check=False)


def run(path):
    return subprocess.run([path], capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_program_in_the_path_is_taken(archive, tmp_path):
    result = fetch(archive, "coreutils", "true", tmp_path / "build")
    assert result.returncode == 0
    assert result.stdout == shutil.which("true", path="/usr/bin:/bin") + "\n"
    assert not (tmp_path / "build").exists()


def test_who_needs_the_packages_own_program_gets_it(archive, tmp_path):
    make_package(archive, "novel-true", {"usr/bin/true": "#!/bin/sh\necho novel\n"})
    result = fetch(archive, "novel-true", "true", tmp_path / "build", "--unpack")
    assert result.returncode == 0, result.stderr
    assert run(result.stdout.strip()) == "novel\n"


def test_a_program_is_fetched_once(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/sbin/noveld": "#!/bin/sh\necho hello\n"})
    first = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(str(tmp_path / "build" / "servers"))
    assert run(first.stdout.strip()) == "hello\n"
    asked = (archive / "asked").read_text()
    second = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert second.stdout == first.stdout
    assert (archive / "asked").read_text() == asked


def test_what_an_interrupted_run_left_is_made_anew(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/bin/noveld": "#!/bin/sh\necho hello\n"})
    write_program(tmp_path / "build/servers/novel-server/root/usr/bin/noveld", "#!/bin/sh\necho half\n")
    assert run(fetch(archive, "novel-server", "noveld", tmp_path / "build").stdout.strip()) == "hello\n"


def test_libraries_come_from_the_packages_it_depends_on(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/bin/noveld": "#!/bin/sh\necho $LD_LIBRARY_PATH\n",
                                           "usr/bin/noveld.needs": "libdeep.so.1"}, ["libshallow", "not-a-library"])
    make_package(archive, "libshallow", {"usr/lib/libshallow.so.1": ""}, ["libdeep"])
    make_package(archive, "libdeep", {"usr/lib/deep/libdeep.so.1": ""})
    result = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert result.returncode == 0, result.stderr
    assert "/usr/lib/deep" in run(result.stdout.strip())
    assert "not-a-library" not in (archive / "asked").read_text()
    # The folder may move: the script finds what came with it.
    (tmp_path / "build").rename(tmp_path / "moved")
    moved = fetch(archive, "novel-server", "noveld", tmp_path / "moved").stdout.strip()
    assert str(tmp_path / "moved/servers/novel-server/root/usr/lib/deep") in run(moved)


def test_a_program_may_be_a_link_into_another_package(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/share/novel/settings": "", "etc/init.d/noveld": "#!/bin/sh\necho script\n"})
    link = archive.parent / "make" / "novel-server" / "usr" / "bin" / "noveld"
    link.parent.mkdir(parents=True)
    link.symlink_to("novel-tool")
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", archive.parent / "make" / "novel-server",
                    archive / "novel-server_1_all.deb"], check=True, stdout=subprocess.DEVNULL)
    alone = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert alone.returncode == 1
    assert "package novel-server has no program noveld" in alone.stderr
    make_package(archive, "novel-tools", {"usr/bin/novel-tool": "#!/bin/sh\necho $0\n"})
    result = fetch(archive, "novel-server,novel-tools", "noveld", tmp_path / "build")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "build/servers/novel-server/root/usr/bin/noveld")
    assert run(result.stdout.strip()) == result.stdout  # it sees by which name it was called
    assert (tmp_path / "build/servers/novel-server/root/usr/share/novel/settings").exists()


def test_a_library_that_nobody_has_is_named(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/bin/noveld": "#!/bin/sh\n", "usr/bin/noveld.needs": "libnone.so.9"})
    result = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert result.returncode == 1
    assert "libnone.so.9" in result.stderr


def test_without_package_lists_they_are_fetched_first(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/bin/noveld": "#!/bin/sh\necho hello\n"}, folder="update-brings")
    result = fetch(archive, "novel-server", "noveld", tmp_path / "build")
    assert result.returncode == 0, result.stderr
    assert run(result.stdout.strip()) == "hello\n"


def test_a_package_that_is_not_there_is_named(archive, tmp_path):
    result = fetch(archive, "no-such-server", "noveld", tmp_path / "build")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Unable to locate package no-such-server" in result.stderr
    assert "cannot download package no-such-server" in result.stderr


def test_a_package_without_the_program_says_what_it_has(archive, tmp_path):
    make_package(archive, "novel-server", {"usr/bin/noveld": "#!/bin/sh\n"})
    result = fetch(archive, "novel-server", "other", tmp_path / "build")
    assert result.returncode == 1
    assert "has no program other, only: noveld" in result.stderr


@pytest.mark.parametrize("package, program", [("../x", "y"), ("x y", "z"), ("-x", "y"), ("", "y"), ("package", "../y"),
                                              ("package", "a/b"), ("package", "-y"), ("package", ""),
                                              ("package,", "y"), (",package", "y"), ("package,-x", "y")])
def test_names_that_are_none_are_refused(archive, tmp_path, package, program):
    result = fetch(archive, package, program, tmp_path / "build")
    assert result.returncode == 1
    assert "is not the name of" in result.stderr
    assert os.listdir(tmp_path) == ["archive"]
