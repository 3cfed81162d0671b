"""Two networks with the same parts, and with the same spikes."""

from __future__ import annotations

import numpy as np

from ranvier.engine import Engine
from ranvier.network import Dense, Network
from tests.drawn import clips


def same_network(one: Network, other: Network) -> None:
    """Every setting and every array the same to the bit; delays where the weight is not 0."""
    for name in ("dt_ms", "classes", "input", "decoding"):
        assert getattr(one, name) == getattr(other, name)
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.bias.dtype == theirs.bias.dtype
        np.testing.assert_array_equal(mine.bias, theirs.bias)
        assert mine.parts().keys() == theirs.parts().keys()
        for place, part in mine.parts().items():
            again = theirs.parts()[place]
            assert part.settings() == again.settings()
            for name, array in part.arrays().items():
                found = again.arrays()[name]
                assert found.dtype == array.dtype
                assert found.shape == array.shape
                if name != "delay_steps":
                    np.testing.assert_array_equal(array, found)
            if isinstance(part, Dense) and isinstance(again, Dense):
                there = part.weight != 0
                np.testing.assert_array_equal(part.full_delay_steps[there], again.full_delay_steps[there])


def same_spikes(one: Network, other: Network) -> None:
    """The engine's spikes and voltages of generated clips, to the bit; some neurons have to spike."""
    spikes = 0
    for clip in clips(one):
        mine, theirs = Engine(one).run(clip), Engine(other).run(clip)
        np.testing.assert_array_equal(mine.voltage, theirs.voltage)
        for raster, again in zip(mine.spikes, theirs.spikes, strict=True):
            np.testing.assert_array_equal(raster, again)
            spikes += len(raster)
    assert spikes > 20
