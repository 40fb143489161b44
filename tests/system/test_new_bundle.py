"""`inaetics new bundle`: a project that a stranger begins with."""
import os
import shutil
import subprocess

import pytest
from conftest import BUILD, INAETICS


def new(*arguments, folder, program=INAETICS):
    environment = dict(os.environ)
    environment.pop("INAETICS_SDK", None)
    return subprocess.run([program, "new", *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)


def run_test(project):
    environment = dict(os.environ)
    environment.pop("INAETICS_SDK", None)
    return subprocess.run([project / "test"], capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.fixture
def project(tmp_path):
    assert new("bundle", "my-sensor", folder=tmp_path).returncode == 0
    return tmp_path / "my-sensor"


def test_a_new_bundle_is_built_tested_and_run_in_an_agent_by_one_command(project):
    result = run_test(project)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the component alone    OK" in result.stdout and "the bundle in an agent OK" in result.stdout
    shown = subprocess.run([INAETICS, "bundle", "inspect", project / "build" / "my-sensor.zip"], check=True,
                           capture_output=True, text=True).stdout
    assert "Bundle-SymbolicName: my-sensor" in shown and "Bundle-Version: 1.0.0" in shown
    assert "contract=my_sensor.v1.MySensor" in shown
    verified = subprocess.run([INAETICS, "bundle", "verify", project / "build" / "my-sensor.zip"], check=True,
                              capture_output=True, text=True).stdout
    assert "my-sensor 1.0.0, sound\n" in verified


def test_no_placeholder_is_left_in_it(project):
    for path in project.iterdir():
        text = path.read_text(encoding="ascii")
        for word in ("%name", "%ident", "%IDENT", "%Type", "%service", "%sdk", "%CONFIG"):
            assert word not in text, f"{path.name}: {word}"
    assert os.access(project / "test", os.X_OK)


def test_a_warning_is_an_error_there(project):
    source = project / "my-sensor.c"
    source.write_text(source.read_text(encoding="ascii") + "\nstatic int unused;\n", encoding="ascii")
    result = run_test(project)
    assert result.returncode != 0 and "unused" in result.stdout


def test_its_tests_find_what_is_wrong(project):
    source = project / "my-sensor.c"
    text = source.read_text(encoding="ascii")
    wrong = text.replace("self->state.count++;", "self->state.count += 2;")
    assert wrong != text
    source.write_text(wrong, encoding="ascii")
    assert run_test(project).returncode != 0


@pytest.mark.parametrize("name", ["a", "a-1", "my-2nd-x", "a-b", "int", "file"])
def test_names_of_any_form_make_names_in_code(tmp_path, name):
    assert new("bundle", name, "--directory", "here", folder=tmp_path).returncode == 0
    result = run_test(tmp_path / "here")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a--b", "a-", "-a", "../a", "a/b", "a b", "x" * 41, "ä", "a.b", "%name%"])
def test_a_name_that_is_none_is_refused_with_what_is_right(tmp_path, name):
    result = new("bundle", "--", name, folder=tmp_path)
    assert result.returncode == 1 and "small letters, digits and single hyphens" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_that_the_build_needs_is_refused(tmp_path):
    result = new("bundle", "test", folder=tmp_path)
    assert result.returncode == 1 and "take another one" in result.stderr


def test_nothing_of_the_user_is_overwritten(tmp_path):
    (tmp_path / "my-sensor").mkdir()
    (tmp_path / "my-sensor" / "notes").write_text("mine", encoding="ascii")
    result = new("bundle", "my-sensor", folder=tmp_path)
    assert result.returncode == 1 and "something in my-sensor already" in result.stderr
    assert [path.name for path in (tmp_path / "my-sensor").iterdir()] == ["notes"]


def test_other_kinds_are_refused_with_what_there_is(tmp_path):
    result = new("service", "x", folder=tmp_path)
    assert result.returncode == 1 and "inaetics new bundle NAME" in result.stderr


def test_it_works_with_an_installation_that_was_moved(tmp_path):
    """Files are found from where the program is, not from where it was configured to be."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True, capture_output=True,
                   env=dict(os.environ, DESTDIR=str(tmp_path / "root")), timeout=300)
    prefix = next(path.parents[1] for path in (tmp_path / "root").rglob("bin/inaetics"))
    shutil.move(prefix, tmp_path / "moved")
    assert new("bundle", "my-sensor", folder=tmp_path, program=tmp_path / "moved" / "bin" / "inaetics").returncode == 0
    assert str(tmp_path / "moved") in (tmp_path / "my-sensor" / "test").read_text(encoding="ascii")
    result = run_test(tmp_path / "my-sensor")
    assert result.returncode == 0, result.stdout + result.stderr
