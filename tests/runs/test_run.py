"""A run's folder as values and arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ranvier
from ranvier.errors import ConfigError
from ranvier.runs import RunError

MADE = Path(__file__).parents[1] / "made_at_3cf00c6"


def test_a_finished_run_is_read_as_arrays() -> None:
    run = ranvier.read_run(MADE / "coincidence")
    assert run.config["data"]["kind"] == "coincidence"
    assert len(run.epochs) == 2
    loss = run.metric("loss")
    assert loss.tolist() == [row.loss for row in run.epochs]
    assert run.result is not None
    assert run.result.best_epoch in (1, 2)
    assert run.network is not None
    delays = run.delays_ms()
    assert list(delays) == ["hidden_1", "readout"]
    synapses = run.network.layers[0].inputs[0].synapses()
    np.testing.assert_array_equal(delays["hidden_1"], synapses.delay_steps * run.network.dt_ms)
    assert delays["hidden_1"].max() > delays["readout"].max() == 0


def test_a_stopped_run_has_no_network_yet() -> None:
    run = ranvier.read_run(MADE / "stopped")
    assert (len(run.epochs), run.result, run.network) == (2, None, None)
    with pytest.raises(RunError, match="has no network yet"):
        run.delays_ms()


def test_a_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(RunError, match=r"metric 'lost' is not there \(.*loss"):
        ranvier.read_run(MADE / "coincidence").metric("lost")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=str(tmp_path)):
        ranvier.read_run(tmp_path)


def test_a_name_stands_for_a_run_of_the_package() -> None:
    run = ranvier.read_run("digits")
    assert run.result is not None
    assert run.result.accuracy["test"].clips == 400
    assert run.metric("loss").shape == (36,)
    with pytest.raises(ConfigError, match="did you mean digits"):
        ranvier.read_run("digitz")
