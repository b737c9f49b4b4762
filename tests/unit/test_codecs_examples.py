"""`usp codecs test`: published examples in three forms, and where a codec differs from them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from usp.cli import app
from usp.errors import CodecError
from usp.ingest.codecs import Decoded, Frame
from usp.ingest.codecs.compare import MISSING, Difference, differences
from usp.ingest.codecs.examples import Example, read_examples
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason

VECTORS = Path(__file__).parents[1] / "vectors" / "codecs"
RUNNER = CliRunner()


def run(codec: Path | str, examples: Path) -> tuple[int, list[str]]:
    """Exit status and output of the command."""
    result = RUNNER.invoke(app, ["codecs", "test", str(codec), "--examples", str(examples)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output.splitlines()


@pytest.mark.parametrize(("file", "count"), [("bay-codec.yaml", 4), ("test_decode_bay.json", 2), ("bay.jsonl", 3)])
def test_examples_in_three_forms(file: str, count: int) -> None:
    """Each form is read, hexadecimal numbers, comments and times included; all examples agree."""
    assert run(VECTORS / "bay.js", VECTORS / file) == (0, [f"{count} of {count} examples agree."])


def test_differences_are_shown_with_their_place(tmp_path: Path) -> None:
    """For each example that differs: its name, its bytes, and each place with what was expected and what came."""
    script = (
        (VECTORS / "bay.js").read_text().replace("/ 2", "/ 4").replace("case 1", "case 11").replace("'on'", "'off'")
    )
    (tmp_path / "bay.js").write_text(script)
    status, lines = run(tmp_path / "bay.js", VECTORS / "bay-codec.yaml")
    assert status == 1
    assert lines == [
        "1 of 4 examples agree.",
        "Occupied (01 on port 1)",
        '  expected {"occupied": true}, got codec_failed: unknown FPort',
        "Cold (03ff on port 2)",
        "  data.temperature: expected -0.5, got -0.25",
        "  normalized[0].air.temperature: expected -0.5, got -0.25",
        "History (010a on port 3)",
        '  data.name: expected "on", got "off"',
    ]


def test_built_in_codecs_are_tested_alike(tmp_path: Path) -> None:
    """Cayenne LPP needs no file."""
    (tmp_path / "lpp.jsonl").write_text('{"fPort": 1, "hex": "03670110", "expect": {"temperature_3": 27.2}}\n')
    assert run("cayenne_lpp", tmp_path / "lpp.jsonl") == (0, ["1 of 1 examples agree."])


@pytest.mark.parametrize(
    ("expected", "found", "different"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 0.1}, {"a": 0.1 + 1e-12}, []),
        ({"a": 0.1}, {"a": 0.1001}, [Difference("data.a", 0.1, 0.1001)]),
        ({"a": 1}, {"a": True}, [Difference("data.a", expected=1, found=True)]),
        ({"a": 1}, {"a": "1"}, [Difference("data.a", 1, "1")]),
        ({"a": None}, {}, []),
        ({}, {"a": None}, []),
        ({}, {"a": 0}, [Difference("data.a", MISSING, 0)]),
        ({"a": 0}, {}, [Difference("data.a", 0, MISSING)]),
        ({1: 2}, {"1": 2}, []),
        ({"a": [1, 2]}, {"a": [1]}, [Difference("data.a[1]", 2, MISSING)]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [Difference("data.a[0].b", 1, 2)]),
        ({"a": []}, {"a": {}}, [Difference("data.a", [], {})]),
        ({"t": "2024-01-01T00:00:00Z"}, {"t": "2024-01-01T00:00:00.000Z"}, []),
        ({"t": "2024-01-01"}, {"t": "2024-01-02"}, [Difference("data.t", "2024-01-01", "2024-01-02")]),
    ],
)
def test_what_counts_as_equal(expected: Any, found: Any, different: list[Difference]) -> None:
    """Numbers are numbers, booleans are none, null is nothing, and a moment may be written in two ways."""
    example = Example("x", Frame(b"", 1, datetime.now(UTC)), {"data": expected})
    assert list(differences(example, Decoded(found))) == different


def test_errors_have_to_be_met_by_a_failure() -> None:
    """Where an example expects errors, data are a difference; where it expects data, a failure is."""
    frame = Frame(b"", 1, datetime.now(UTC))
    refusal = Refusal(Reason.CODEC_FAILED, "in other words")
    wrong = Example("x", frame, {"errors": ["no"]})
    assert list(differences(wrong, refusal)) == []
    assert list(differences(wrong, Decoded({}))) == [Difference("errors", ["no"], MISSING)]
    assert list(differences(Example("x", frame, {"data": {}}), refusal)) == [Difference("", {}, refusal)]


def test_without_a_port_there_is_none() -> None:
    """ChirpStack's files may name no port; a time is what they say, in any zone."""
    frame = read_examples(VECTORS / "test_decode_bay.json")[1].frame
    assert frame == Frame(b"\1", None, datetime(2026, 11, 20, 8, 30, tzinfo=UTC), {})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "a: [", "while parsing"),
        ("a.yaml", "a: 1", r"none of the three forms of examples \(KeyError: 'uplinkDecoder'\)"),
        ("a.json", "[{]", "while parsing"),
        ("a.json", "[1]", "none of the three forms"),
        ("a.jsonl", "{", ":1:2: This is no JSON: Expecting"),
        ("a.jsonl", '{"hex": "00", "expect": {}}\n{"hex": }\n', ":2:9: This is no JSON: Expecting value"),
        ("a.jsonl", '{"hex": "00", "expect": {}}\n\n{"hex": "0g"}', ":3: '0g' is no hex, such as 0100e20229"),
        ("a.jsonl", '{"hex": 5}', r":1: This has none of the three forms of examples \(TypeError"),
        ("a.jsonl", '{"hex": "00"}', r"none of the three forms of examples \(KeyError: 'expect'\)"),
    ],
)
def test_a_file_of_another_form_is_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    """What cannot be read is one clear error that names the file."""
    (tmp_path / name).write_text(text)
    with pytest.raises(CodecError, match=rf"{name}.*{words}"):
        read_examples(tmp_path / name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """Neither codec nor examples may be missing."""
    with pytest.raises(CodecError, match="No such file"):
        read_examples(tmp_path / "none.yaml")
    result = RUNNER.invoke(app, ["codecs", "test", str(tmp_path / "none.js"), "--examples", str(VECTORS / "bay.jsonl")])
    assert isinstance(result.exception, CodecError)
