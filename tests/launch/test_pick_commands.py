"""The commands around picking: what they refuse, and what they list."""

from __future__ import annotations

import shlex

import pytest

from toolwright.launch import cli, inventory


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("eval pick --episodes 5", "give --episodes-per-object instead of --episodes"),
        ("eval pick --scene bead", "eval pick has no scene: drop --scene"),
        ("eval pick --state camra", "unknown 'camra' (did you mean camera?)"),
        ("eval cup --state camera", "eval cup has no state: drop --state"),
        ("eval cup --episodes-per-object 5", "drop --episodes-per-object"),
        ("train held_tool --ablations", "--ablations goes with 'train pick' alone"),
        ("train pick --ablations seed=3", "--ablations goes with 'train pick' alone"),
        ("list scenes --picture x.png", "--picture draws tools or objects, not scenes"),
    ],
)
def test_a_mistake_gets_one_line_that_helps(line: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert err.startswith("toolwright: ") and expected in err, err
    assert err.count("\n") == 1 and not out


def test_objects_are_listed_with_the_half_they_belong_to() -> None:
    rows = inventory.objects()
    assert [row["part"] for row in rows] == ["seen"] * 12 + ["held-out"] * 12
    washer = next(row for row in rows if row["name"] == "washer M6")
    assert washer["size_mm"] == "2 x 12 x 12" and washer["mass_g"] == pytest.approx(1.0, abs=0.1)
