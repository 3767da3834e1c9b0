"""The vision model's process: `python -m syncd.pipeline.parse.vision_worker MODEL PROJECTOR THREADS`.

Request: a prompt, and a picture that our own parsers have written as JPEG. Reply: {"text": …}.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any

from syncd.pipeline.model_jail import confine_model, uses_card
from syncd.runtime.child import open_channel
from syncd.runtime.frames import Frame

_CONTEXT_TOKENS = 8192
_MAX_TOKENS = 300


def main(arguments: list[str]) -> None:
    """Load the model and serve until the daemon closes the pipe."""
    channel = open_channel()
    model, projector, threads = arguments[0], arguments[1], int(arguments[2])
    lacks = confine_model([Path(model), Path(projector)], on_card=uses_card())
    llama = _load(model, projector, threads or len(os.sched_getaffinity(0)))

    def describe(request: Frame) -> Frame:
        url = f"data:image/jpeg;base64,{base64.b64encode(request.payload).decode()}"
        content = [{"type": "text", "text": request.header["prompt"]}, {"type": "image_url", "image_url": {"url": url}}]
        messages = [{"role": "user", "content": content}]
        answer = llama.create_chat_completion(messages=messages, max_tokens=_MAX_TOKENS, temperature=0.0)
        return Frame({"text": answer["choices"][0]["message"]["content"] or ""})

    channel.serve(describe, {"jail_lacks": lacks})


def _load(model: str, projector: str, threads: int) -> Any:
    from llama_cpp import Llama
    from llama_cpp.llama_chat_format import MTMDChatHandler

    handler = MTMDChatHandler(clip_model_path=projector, verbose=False)
    return Llama(model, chat_handler=handler, n_ctx=_CONTEXT_TOKENS, n_threads=threads, n_gpu_layers=-1, verbose=False)


if __name__ == "__main__":
    main(sys.argv[1:])
