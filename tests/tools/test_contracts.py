"""The generator refuses what cannot be built; the check refuses what breaks the wire."""
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = 'syntax = "proto3";\npackage factory.v1;\n'
RELEASED = HEAD + """
enum Colour { COLOUR_NONE = 0; COLOUR_RED = 1; }
message Part { string name = 1; repeated double sizes = 2; }
service Factory { rpc Make(Part) returns (Part) { option idempotency_level = IDEMPOTENT; } }
"""


def generate(folder, text):
    well_known = folder / "google" / "protobuf"
    well_known.mkdir(parents=True, exist_ok=True)
    (well_known / "timestamp.proto").write_text('syntax = "proto3";\npackage google.protobuf;\nmessage Timestamp {}\n')
    (folder / "factory.proto").write_text(text)
    return subprocess.run(["protoc", f"--proto_path={folder}", f"--inaetics_out={folder}",
                           f"--plugin=protoc-gen-inaetics={ROOT}/tools/protoc-gen-inaetics", "factory.proto"],
                          cwd=folder, capture_output=True, text=True)


def describe(folder, name, text):
    (folder / f"{name}.proto").write_text(text)
    subprocess.run(["protoc", f"--proto_path={folder}", f"--descriptor_set_out={folder}/{name}.binpb", f"{name}.proto"],
                   cwd=folder, check=True)
    return folder / f"{name}.binpb"


def check(folder, text):
    return subprocess.run([ROOT / "tools/check-contract", describe(folder, "released", RELEASED),
                           describe(folder, "current", text)], capture_output=True, text=True)


def test_a_service_becomes_a_table_a_contract_and_typed_calls(tmp_path):
    assert generate(tmp_path, RELEASED).returncode == 0
    header = (tmp_path / "factory.service.h").read_text()
    assert "typedef struct FactoryV1Factory" in header
    assert "static inline InaPending *factory_v1_factory_make(" in header
    assert "INA_METHOD_REPEATABLE" in (tmp_path / "factory.service.c").read_text()


def test_comments_do_not_change_the_digest_but_fields_do(tmp_path):
    def digest(text):
        generate(tmp_path, text)
        return next(line for line in (tmp_path / "factory.service.c").read_text().splitlines() if ".digest" in line)
    assert digest(RELEASED) == digest(RELEASED.replace("message Part", "// a comment\nmessage Part"))
    assert digest(RELEASED) != digest(RELEASED.replace("sizes = 2;", "sizes = 2; int32 more = 3;"))


@pytest.mark.parametrize("text, said", [
    (HEAD + "message A { optional int32 x = 1; }", "field x: proto3 'optional' is not supported"),
    (HEAD + 'message A { int32 x = 1 [json_name = "why"]; }', "json_name is not supported"),
    (HEAD + "message A { map<string, int32> x = 1; }", "map fields are not supported"),
    (HEAD + "message A {}\nservice S { rpc M(stream A) returns (A); }", "S.M: streams are not supported"),
    (HEAD + 'import "google/protobuf/timestamp.proto";\nmessage A { google.protobuf.Timestamp x = 1; }',
     "google.protobuf.Timestamp is not supported"),
    ('syntax = "proto3";\npackage factory;\nmessage A {}', 'package "factory" must end with a version'),
    ('syntax = "proto2";\npackage factory.v1;\nmessage A {}', 'the syntax must be "proto3"'),
])
def test_what_the_oldest_protobuf_c_lacks_is_refused_by_name(tmp_path, text, said):
    result = generate(tmp_path, text)
    assert result.returncode != 0
    assert said in result.stderr


@pytest.mark.parametrize("change", [
    lambda text: text.replace("sizes = 2;", "sizes = 2; string colour = 3;"),
    lambda text: text.replace("COLOUR_RED = 1;", "COLOUR_RED = 1; COLOUR_BLUE = 2;"),
    lambda text: text + "service Second { rpc Make(Part) returns (Part); }",
])
def test_additions_are_allowed(tmp_path, change):
    assert check(tmp_path, change(RELEASED)).returncode == 0


@pytest.mark.parametrize("old, new, said", [
    ("string name = 1;", "", "field name = 1: was removed"),
    ("string name = 1;", "string label = 1;", "was renamed to label"),
    ("string name = 1;", "bytes name = 1;", "was string, is bytes"),
    ("repeated double", "double", "was repeated double, is double"),
    ("COLOUR_RED = 1;", "COLOUR_RED = 2;", "COLOUR_RED = 1 was removed or renumbered"),
    ("rpc Make(Part)", "rpc Build(Part)", "method Make was removed"),
    (" { option idempotency_level = IDEMPOTENT; }", ";", "may no longer be repeated"),
    ("service Factory", "service Works", "service factory.v1.Factory was removed"),
])
def test_what_breaks_the_wire_is_refused_and_named(tmp_path, old, new, said):
    result = check(tmp_path, RELEASED.replace(old, new))
    assert result.returncode != 0
    assert said in result.stderr
