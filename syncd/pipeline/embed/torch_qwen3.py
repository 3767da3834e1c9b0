"""Qwen3 embedding models in PyTorch, from the same GGUF: 2.7 to 3.8 times faster than llama.cpp on CPUs with AMX.

Runs in the worker process only, where the extra `torch` is installed and the start-up probe found it faster. Weights are
dequantised once, to bfloat16 on GPUs and where the processor multiplies it natively, else to float32; the residual stream is
float32. Vectors equal llama.cpp's within the probe's cosine. Sequences are packed without padding: one matrix product for all
tokens of a batch, attention within each sequence (`torch_steps`), and in the last layer only the last tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
from numpy.typing import NDArray

from syncd.errors import PermanentError
from syncd.model import Vectors
from syncd.pipeline.embed.torch_steps import Packed, Steps, Tensor, attention, rotations
from syncd.pipeline.embed.variant import GPU_BATCH_TOKENS, RunSettings, batch_tokens, cpu_batch_tokens
from syncd.pipeline.embed.windows import TokenIds

if TYPE_CHECKING:
    from syncd.pipeline.embed.llama import LlamaModel

_NATIVE_BF16 = ("amx_bf16", "avx512_bf16", "bf16")
_SEQUENCES = 64
_GPU_SEQUENCES = 4096
"""Packed sequences cost a GPU nothing, small launches do."""
_TOKENS_PER_PROCESSOR = 128
"""For each of a GPU's multiprocessors: enough for products to keep all of them busy, little enough for queries not to wait long."""
_GPU_PROCESSES = 2
"""While one tokenises, hands over and waits for the daemon, the other computes: a large GPU is through with a batch sooner
than a core has tokenised the next.
"""
_SHARE_OF_MEMORY = 0.8
_ACTIVATION_BYTES = 256 << 10
"""Of one token: some sixty thousand numbers at a time for a model of 0.6 billion parameters."""
_torch: Any = import_module("torch")
_functional: Any = import_module("torch.nn.functional")


def open_kernel(settings: RunSettings, _model: LlamaModel) -> TorchQwen3:
    """Return PyTorch's kernel, as `KernelModule.open_kernel` does."""
    return TorchQwen3(settings)


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Tensor
    output: Tensor
    gate_up: Tensor
    down: Tensor
    attn_norm: Tensor
    ffn_norm: Tensor
    head_gains: Tensor
    """A row for each head of the queries, then of the keys."""


class TorchQwen3:
    """Computes windows to vectors. Loading takes a few seconds and two to four bytes of memory a parameter.

    Raises PermanentError for a GGUF of another architecture.
    """

    def __init__(self, settings: RunSettings) -> None:
        reader = gguf.GGUFReader(settings.path)
        if _value(reader, "general.architecture") != "qwen3" or settings.pooling != "last":
            raise PermanentError(f"{settings.path} is not a Qwen3 embedding model: PyTorch cannot run it")
        cuda = settings.device in ("auto", "cuda") and _torch.cuda.is_available()
        if settings.device not in ("auto", "cpu") and not cuda:
            raise PermanentError(f"PyTorch computes on a CPU or with CUDA here, not on device = {settings.device!r}")
        self.devices = _torch.cuda.device_count() if cuda else 0
        self.processes = _GPU_PROCESSES if cuda else 1
        self._device = _torch.device("cuda", settings.device_number) if cuda else _torch.device("cpu")
        if cuda:
            _torch.cuda.set_device(self._device)
        self._type = _torch.bfloat16 if cuda or _native_bf16() else _torch.float32
        _torch.set_num_threads(settings.own_threads())
        self.sequences = settings.sequences or (_GPU_SEQUENCES if cuda else _SEQUENCES)
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._head = int(_value(reader, "qwen3.attention.key_length"))
        self._heads = int(_value(reader, "qwen3.attention.head_count"))
        self._kv_heads = int(_value(reader, "qwen3.attention.head_count_kv"))
        self._norm = self._vector("output_norm.weight")
        self._layers = [self._layer(f"blk.{n}.") for n in range(int(_value(reader, "qwen3.block_count")))]
        self._table = self._matrix("token_embd.weight") if cuda else None
        self._steps = self._chosen_steps(reader, settings.max_tokens)
        self.batch_tokens = self._batch_tokens(settings)

    def vectors(self, windows: Sequence[TokenIds]) -> Vectors:
        """Return the raw vectors of `windows`, at most `sequences` of at most `batch_tokens` tokens together."""
        with _torch.inference_mode():
            packed = Packed.of(windows, self._device)
            hidden, delta = self._embedded(packed.tokens), None
            for layer in self._layers[:-1]:
                delta = self._through(layer, hidden, delta, packed)
            return self._last(self._layers[-1], hidden, delta, packed).cpu().numpy()

    def _through(self, layer: _Layer, hidden: Tensor, delta: Tensor | None, packed: Packed) -> Tensor:
        """Add `delta` and what attention gives to `hidden`, in place, and return what the layer adds to that."""
        return self._fed(layer, hidden, self._attended(layer, hidden, delta, packed))

    def _last(self, layer: _Layer, hidden: Tensor, delta: Tensor | None, packed: Packed) -> Tensor:
        attended = self._attended(layer, hidden, delta, packed)
        hidden, attended = hidden[packed.ends], attended[packed.ends]
        delta = self._fed(layer, hidden, attended)
        return self._steps.add_norm(hidden, delta, self._norm, _torch.float32)

    def _attended(self, layer: _Layer, hidden: Tensor, delta: Tensor | None, packed: Packed) -> Tensor:
        qkv: Tensor = _functional.linear(self._steps.add_norm(hidden, delta, layer.attn_norm, self._type), layer.qkv)
        self._steps.norm_turn(qkv, layer.head_gains, packed.places)
        parts = [self._heads, self._kv_heads, self._kv_heads]
        queries, keys, values = qkv.view(len(qkv), -1, self._head).split(parts, dim=1)
        return attention(queries, keys, values, packed).reshape(len(qkv), -1)

    def _fed(self, layer: _Layer, hidden: Tensor, attended: Tensor) -> Tensor:
        delta = _functional.linear(attended, layer.output)
        normed = self._steps.add_norm(hidden, delta, layer.ffn_norm, self._type)
        return _functional.linear(self._steps.gated(_functional.linear(normed, layer.gate_up)), layer.down)

    def _embedded(self, tokens: Tensor) -> Tensor:
        if self._table is not None:
            return _functional.embedding(tokens, self._table).float()
        # On a CPU the table stays in the file, which is mapped: most of its rows are never read.
        table = self._tensors["token_embd.weight"]
        return _torch.from_numpy(_plain(np.asarray(table.data)[tokens.numpy()], table.tensor_type))

    def _chosen_steps(self, reader: gguf.GGUFReader, max_tokens: int) -> Steps:
        base = float(_value(reader, "qwen3.rope.freq_base"))
        epsilon = float(_value(reader, "qwen3.attention.layer_norm_rms_epsilon"))
        plain = Steps(rotations(max_tokens, self._head, base, self._device), epsilon)
        if self._device.type == "cpu" or find_spec("triton") is None:
            return plain
        from syncd.pipeline.embed.torch_fused import fused_if_right  # Triton comes with PyTorch for GPUs only

        return fused_if_right(plain, self._head, self._type)

    def _batch_tokens(self, settings: RunSettings) -> int:
        if self._device.type == "cpu":
            return batch_tokens(settings, cpu_batch_tokens(settings))
        free_bytes, _ = _torch.cuda.mem_get_info(self._device)
        room_tokens = int(free_bytes * _SHARE_OF_MEMORY) // _ACTIVATION_BYTES
        processors = _torch.cuda.get_device_properties(self._device).multi_processor_count
        usual = max(_TOKENS_PER_PROCESSOR * processors, GPU_BATCH_TOKENS)
        return batch_tokens(settings, usual, room_tokens)

    def _layer(self, prefix: str) -> _Layer:
        q_gains, k_gains = (self._vector(f"{prefix}attn_{part}_norm.weight") for part in "qk")
        return _Layer(
            qkv=_torch.cat([self._matrix(f"{prefix}attn_{part}.weight") for part in "qkv"]),
            output=self._matrix(prefix + "attn_output.weight"),
            gate_up=_torch.cat([self._matrix(f"{prefix}ffn_{part}.weight") for part in ("gate", "up")]),
            down=self._matrix(prefix + "ffn_down.weight"),
            attn_norm=self._vector(prefix + "attn_norm.weight"),
            ffn_norm=self._vector(prefix + "ffn_norm.weight"),
            head_gains=_torch.stack([q_gains] * self._heads + [k_gains] * self._kv_heads),
        )

    def _matrix(self, name: str) -> Tensor:
        return self._vector(name).to(self._type)

    def _vector(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        return _torch.from_numpy(_plain(np.asarray(tensor.data), tensor.tensor_type)).to(self._device)


def _plain(data: NDArray[Any], kind: gguf.GGMLQuantizationType) -> NDArray[np.float32]:
    # A copy even of plain float32: the file is mapped read-only, which tensors must not be.
    return np.array(gguf.quants.dequantize(data, kind), dtype=np.float32, order="C")


def _value(reader: gguf.GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _native_bf16() -> bool:
    try:
        about = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return False
    flags = next((line for line in about.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return any(flag in flags for flag in _NATIVE_BF16)
