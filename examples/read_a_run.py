"""Read a run: its accuracy, its training curve, and the delays of its frozen network as arrays.

The run is ``digits``, which comes with the package; the folder of any run of ``ranvier train`` has the same files.
"""

import numpy as np

from ranvier import read_run

run = read_run("digits")  # or read_run("runs/digits")

test = run.result.accuracy["test"]
print(f"test accuracy {test.value:.1%}, 95% interval {test.low:.1%} to {test.high:.1%}, {test.clips} clips")
validation = run.metric("validation_accuracy")  # [epoch]
print(f"validation accuracy {validation[0]:.1%} after epoch 1, {validation.max():.1%} at best")
print(f"longest delay allowed {run.config['model']['max_delay_ms']:g} ms")

print(run.network)
delays_ms = run.delays_ms()  # arrays [synapse] by the name of their layer
for name, delays in delays_ms.items():
    print(f"{name}: {len(delays)} synapses, mean delay {delays.mean():.1f} ms, median {np.median(delays):.1f} ms")
