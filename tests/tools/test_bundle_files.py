"""The build definition: what a bundle takes in makes it anew when it changes.

  INAETICS_BUILD   the folder of the build (default: build/)
"""
import json
import os
import pathlib
import shlex
import subprocess
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("INAETICS_BUILD") or ROOT / "build").resolve()
PAGE = ROOT / "demonstrator" / "viewer" / "www" / "viewer.css"


def ninja(*arguments):
    done = subprocess.run(["ninja", "-C", BUILD, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packed():
    """Output and command of everything that packs a bundle."""
    commands = json.loads(ninja("--quiet", "-t", "compdb", "CUSTOM_COMMAND"))
    found = [(one["output"], shlex.split(one["command"])) for one in commands]
    return [(output, words) for output, words in found if "pack" in words and "--library" in words]


def inputs(output):
    """What Ninja looks at before it says that an output is as it has to be."""
    lines = ninja("--quiet", "-t", "query", output).splitlines()
    begin, end = lines.index("  input: CUSTOM_COMMAND"), lines.index("  outputs:")
    return {(BUILD / line.strip(" |")).resolve() for line in lines[begin + 1:end]}


def test_every_file_of_a_bundle_is_an_input_of_it():
    bundles = packed()
    assert len(bundles) >= 10, bundles
    named = 0
    for output, words in bundles:
        known = inputs(output)
        for option, value in zip(words, words[1:]):
            if option == "--file":
                named += 1
                assert (BUILD / value.partition("=")[2]).resolve() in known, f"{output} is not made anew for {value}"
    assert named >= 10, "the viewer has its pages"


def test_every_page_is_brought_along():
    with zipfile.ZipFile(BUILD / "demonstrator" / "viewer.zip") as viewer:
        there = {name.rpartition("/")[2] for name in viewer.namelist() if name.startswith("www/")}
    assert {one.name for one in PAGE.parent.iterdir()} <= there
    image = BUILD / "cluster" / "images" / "inaetics" / "provisioning" / "latest" / "www"
    assert {one.name for one in (ROOT / "provisioning" / "www").iterdir()} == {one.name for one in image.iterdir()}


def test_a_bundle_is_made_anew_when_a_page_of_it_was_touched():
    def is_old():
        return "demonstrator/viewer.zip" in ninja("-n", "-v", "demonstrator/viewer.zip")

    built = (BUILD / "demonstrator" / "viewer.zip").stat()
    before = PAGE.stat()
    try:
        os.utime(PAGE, ns=(before.st_atime_ns, built.st_mtime_ns - 1_000_000_000))
        assert not is_old()
        os.utime(PAGE, ns=(before.st_atime_ns, built.st_mtime_ns + 1_000_000_000))
        assert is_old()
    finally:
        os.utime(PAGE, ns=(before.st_atime_ns, before.st_mtime_ns))
