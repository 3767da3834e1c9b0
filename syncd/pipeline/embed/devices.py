"""Which devices llama.cpp can compute on, by ggml's own registry; runs in the worker process only."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import llama_cpp

from syncd.errors import ConfigError
from syncd.pipeline.embed.variant import Device

REBUILD = (
    "CMAKE_ARGS='-DGGML_{}=on -DCMAKE_CXX_FLAGS=-fno-dse' "
    "pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python==0.3.36"
)
"""The README gives the same command for CUDA."""

_BACKENDS: dict[Device, tuple[str, ...]] = {"cuda": ("CUDA",), "metal": ("MTL", "Metal"), "vulkan": ("Vulkan",)}
"""ggml's names."""
_GPU, _INTEGRATED_GPU = 1, 2
_SIZE, _POINTER, _TEXT = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p
_CALLS = {
    "ggml_backend_reg_count": ((), _SIZE),
    "ggml_backend_reg_get": ((_SIZE,), _POINTER),
    "ggml_backend_reg_name": ((_POINTER,), _TEXT),
    "ggml_backend_dev_count": ((), _SIZE),
    "ggml_backend_dev_get": ((_SIZE,), _POINTER),
    "ggml_backend_dev_memory": ((_POINTER, ctypes.POINTER(_SIZE), ctypes.POINTER(_SIZE)), None),
    "ggml_backend_dev_name": ((_POINTER,), _TEXT),
    "ggml_backend_dev_type": ((_POINTER,), ctypes.c_int),
    "ggml_backend_dev_backend_reg": ((_POINTER,), _POINTER),
}
"""What they take and return (ggml-backend.h)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device other than the CPU. `pointer` is ggml's."""

    pointer: int
    name: str
    backend: str
    kind: int
    free_bytes: int


def find_gpu(device: Device, number: int) -> tuple[Gpu | None, int]:
    """Return the GPU to compute on, None for the CPU, and how many there are to choose from.

    Raises ConfigError when this llama.cpp was built without `device`, none is found, or there is none of that `number`.
    """
    found = choose(device, Registry())
    if found and number >= len(found):
        raise ConfigError(
            f"embedding.devices names device {number}, there are {len(found)}, counted from 0: {', '.join(g.name for g in found)}"
        )
    return (found[number] if found else None), len(found)


def choose(device: Device, registry: Registry) -> list[Gpu]:
    """Return the GPUs for `device`; `auto` takes those of the first backend that has one, cards before integrated ones."""
    if device == "cpu":
        return []
    gpus = sorted(registry.gpus(), key=lambda gpu: gpu.kind)
    if device == "auto":
        return [gpu for gpu in gpus if (gpu.backend, gpu.kind) == (gpus[0].backend, gpus[0].kind)]
    if not any(name.startswith(_BACKENDS[device]) for name in registry.backends()):
        raise ConfigError(
            f"embedding.device = {device!r}: this llama.cpp was built without it; rebuild it with: "
            f"{REBUILD.format(device.upper())} (or set embedding.device = 'auto')"
        )
    if found := [gpu for gpu in gpus if gpu.backend.startswith(_BACKENDS[device])]:
        return found
    raise ConfigError(
        f"embedding.device = {device!r}: llama.cpp finds no such device; check its driver, or set embedding.device = 'cpu'"
    )


class Registry:
    """ggml's registry of backends and devices."""

    def __init__(self) -> None:
        self._ggml = ggml_library()
        for name, (takes, returns) in _CALLS.items():
            function = self._ggml[name]
            function.argtypes, function.restype = takes, returns
            setattr(self._ggml, name, function)

    def backends(self) -> list[str]:
        """Return what this build can compute with."""
        count = self._ggml.ggml_backend_reg_count()
        pointers = [self._ggml.ggml_backend_reg_get(number) for number in range(count)]
        return [self._backend_name(pointer) for pointer in pointers]

    def gpus(self) -> list[Gpu]:
        """Return the devices other than the CPU and its accelerators."""
        count = self._ggml.ggml_backend_dev_count()
        pointers = [self._ggml.ggml_backend_dev_get(number) for number in range(count)]
        return [gpu for gpu in map(self.device, pointers) if gpu.kind in (_GPU, _INTEGRATED_GPU)]

    def device(self, pointer: int) -> Gpu:
        """Return the properties of one device."""
        free, total = _SIZE(), _SIZE()
        self._ggml.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
        name: bytes = self._ggml.ggml_backend_dev_name(pointer)
        kind: int = self._ggml.ggml_backend_dev_type(pointer)
        backend = self._backend_name(self._ggml.ggml_backend_dev_backend_reg(pointer))
        return Gpu(pointer, name.decode(), backend, kind, free.value)

    def _backend_name(self, pointer: int) -> str:
        name: bytes = self._ggml.ggml_backend_reg_name(pointer)
        return name.decode()


def ggml_library() -> ctypes.CDLL:
    """Return the ggml that llama.cpp itself uses, through llama.cpp's own handle: a wheel carries three copies of each
    library, and one opened by its file name would be another instance with other devices.
    """
    library: ctypes.CDLL = vars(llama_cpp.llama_cpp)["_lib"]
    return ctypes.CDLL(vars(library)["_name"])
