"""Compiled loops are kept on disk by the content of their own file: one that called another file's would go stale."""

from __future__ import annotations

import importlib
import pkgutil

from numba.core.dispatcher import Dispatcher

import ranvier


def test_a_compiled_function_calls_none_of_another_file() -> None:
    seen = 0
    for module in pkgutil.walk_packages(ranvier.__path__, "ranvier."):
        if module.name.endswith(("__main__", "_cuda")):
            continue
        for name, function in vars(importlib.import_module(module.name)).items():
            if not isinstance(function, Dispatcher) or function.py_func.__module__ != module.name:
                continue
            seen += 1
            code, known = function.py_func.__code__, function.py_func.__globals__
            called = [known[each] for each in code.co_names if isinstance(known.get(each), Dispatcher)]
            others = {each.py_func.__module__ for each in called} - {module.name}
            assert not others, f"{module.name}.{name} calls compiled code of {others}"
    assert seen > 20
