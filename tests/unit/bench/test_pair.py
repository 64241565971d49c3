"""Two versions in turn: medians, ratios, and what is said when they cannot be compared like with like."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from bench import checkout, core_pair, pair
from bench.calibrate import Calibration, calibrate
from bench.checkout import CheckoutError, Version
from bench.pair import Figures, Run, compare, drift, medians, ratio_line, read
from bench.result import Cpu, Result, write

CALM = Calibration(30.0, 100.0, 5000.0)
OURS, THEIRS = Version("ours", Path("/ours")), Version("theirs", Path("/theirs"))


def run(version: str, cpu: float, rate: float, p99: float, calibration: Calibration = CALM) -> Run:
    return Run(version, calibration, Figures(cpu, rate, p99 / 4, p99 / 2, p99, True))


def test_the_ratios_are_those_of_the_medians() -> None:
    runs = [run("ours", 480, 3600, 180), run("theirs", 600, 3000, 200), run("ours", 492, 3570, 900), run("theirs", 590, 3030, 210)]
    runs += [run("ours", 900, 1000, 170), run("theirs", 610, 100, 190)]
    line = ratio_line(medians(runs, "ours"), medians(runs, "theirs"))
    assert line == "ratio: cpu_per_event 0.82 events_per_s 1.19 p99 0.9"


def test_a_figure_that_a_run_did_not_find_does_not_count_and_one_that_nobody_found_is_unknown() -> None:
    runs = [run("ours", 480, 0, 180), run("ours", 500, 3000, 200), run("theirs", 490, 0, 190)]
    assert medians(runs, "ours")["events_per_s"] == 3000
    assert ratio_line(medians(runs, "ours"), medians(runs, "theirs")) == "ratio: cpu_per_event 1 events_per_s unknown p99 1"


def test_a_machine_that_changed_between_the_versions_is_told() -> None:
    runs = [run("ours", 480, 3000, 180), run("theirs", 960, 1500, 180, msgspec.structs.replace(CALM, read_ns=240.0))]
    assert "read_ns 0.42" in drift(medians(runs, "ours"), medians(runs, "theirs"))
    assert not drift(medians(runs, "ours"), medians(runs, "ours"))


def test_the_figures_are_read_from_a_result_of_this_version_and_of_earlier_ones(tmp_path: Path) -> None:
    result = Result("2026-11-28T00:00:00+00:00", "abc", False, "quick", valid=True, events_per_s=3000.0, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0)
    result.cpu = Cpu({"node": 170.0, "decode": 80.0})
    path = write(result, tmp_path / "out.json")
    assert path == tmp_path / "out.json"
    assert read(path.read_bytes()) == Figures(250.0, 3000.0, 1.0, 2.0, 3.0, True)
    earlier = (Path(pair.__file__).parent / "results" / "2026-11-23-ce9d64f.json").read_bytes()
    found = read(earlier)
    assert (round(found.events_per_s), round(found.cpu_per_event), round(found.p99)) == (2968, 630, 233)


def test_the_versions_take_turns_and_one_that_our_benchmark_cannot_measure_is_measured_by_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[str, str]] = []

    def measure(version: Version, quick: bool, out: Path) -> Figures:
        if version.name == "theirs" and version.instrument != "its own":
            raise CheckoutError("it has another way to start a stack")
        measured.append((version.name, version.instrument))
        return Figures(500.0, 3000.0, 1.0, 2.0, 3.0, True)

    def own_instrument(version: Version, why: str) -> Version:
        return msgspec.structs.replace(version, instrument="its own", remarks=(f"by its own: {why}",))

    monkeypatch.setattr(pair, "measure", measure)
    monkeypatch.setattr(pair, "calibrate", lambda: CALM)
    monkeypatch.setattr(checkout, "own_instrument", own_instrument)
    runs, theirs = compare(OURS, THEIRS, 3, True, tmp_path)
    assert [name for name, _ in measured] == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert {instrument for name, instrument in measured if name == "theirs"} == {"its own"}
    assert theirs.remarks == ("by its own: it has another way to start a stack",)
    assert len(runs) == 6


def test_an_unknown_commit_is_named() -> None:
    with pytest.raises(CheckoutError, match="no-such-commit"):
        checkout.other("no-such-commit")


def test_a_calibration_is_positive() -> None:
    found = calibrate(scale=0.01)
    assert min(found.loop_ns, found.read_ns, found.json_ns) > 0


def test_instructions_are_read_from_valgrinds_words() -> None:
    assert core_pair.counted("==7== \n==7== I   refs:      123,456,789\n") == 123456789
    with pytest.raises(CheckoutError, match="counted nothing"):
        core_pair.counted("valgrind: not today")
    ours, theirs = core_pair.Cost(90.0, {"node": 50, "profile": 52}, 300), core_pair.Cost(100.0, {"node": 100}, 1000)
    assert core_pair.ratio_line(ours, theirs) == "ratio: instructions_per_event 0.9 bytes 1.02 cached 0.3"


def test_the_pure_core_can_be_counted() -> None:
    said = subprocess.run([sys.executable, "-m", "bench.core_count", "50", "20"], cwd=checkout.PROJECT, capture_output=True, check=True)
    state = msgspec.json.decode(said.stdout, type=dict[str, int])
    assert state.keys() == {"node", "ledger", "profile"}
    assert min(state.values()) > 0


def test_an_earlier_benchmark_gets_this_versions_workload_and_the_time_to_find_a_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_restore", lambda _folder: None)
    monkeypatch.setattr(checkout, "_failure", lambda _version, _program: "")
    (tmp_path / "bench").mkdir()
    file = tmp_path / "bench" / "workload.yaml"
    plans = {"plan": {"hold_s": 120, "budget_s": 590}, "variants": {"large": {"plan": {"budget_s": 3600}}}}
    file.write_text(yaml.safe_dump({"profiles": 7} | plans))
    measured = checkout.own_instrument(Version("old", tmp_path), "it is old")
    written = yaml.safe_load(file.read_text())
    assert written["profiles"] == yaml.safe_load((checkout.PROJECT / "bench" / "workload.yaml").read_text())["profiles"]
    assert written["plan"] == {"hold_s": 120, "budget_s": checkout.LEAST_BUDGET_S}
    assert written["variants"]["large"]["plan"]["budget_s"] == 3600
    assert measured.remarks == ("old is measured by its own benchmark: it is old",)
