"""Which device llama.cpp computes on; runs in the worker process only."""

from __future__ import annotations

import llama_cpp

from syncd.errors import ConfigError
from syncd.pipeline.embed.variant import Device

_ALL_LAYERS = 999


def gpu_layers(device: Device) -> int:
    """Return how many layers to offload: all or none. Raises ConfigError when this llama.cpp was built without it."""
    can_offload = llama_cpp.llama_supports_gpu_offload()
    if device == "cpu" or (device == "auto" and not can_offload):
        return 0
    if not can_offload:
        raise ConfigError(
            f"device = {device!r}: llama.cpp was built for the CPU only; rebuild llama-cpp-python with "
            f"CMAKE_ARGS=-DGGML_{device.upper()}=on, or set device = 'auto'"
        )
    return _ALL_LAYERS
