"""What every peer shares: commands and answers, one JSON object a line, on stdin and stdout.

  {"open": {...}}   what the peer's open() takes      {"step": {...}}   what its step() takes, and so on

An answer carries peakBytes, the most memory so far: the process's resident memory, or a GPU's where one is used. A command that fails is answered with
{"error": ...}, its traceback goes to stderr.
"""

import json
import os
import sys
import traceback
from importlib.metadata import version
from importlib.util import find_spec

import torch


def peak_bytes():
    """Of the GPU where one is used, else of the process."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    return int(kilobytes) * 1024


def versions():
    """Of what is installed: each peer needs but some of these."""
    names = ("torch", "transformers", "peft", "trl")
    return {name: version(name) for name in names if find_spec(name)}


def serve(peer):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    for line in sys.stdin:
        [(name, options)] = json.loads(line).items()
        try:
            answer = getattr(peer, name)(**options)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({**answer, "peakBytes": peak_bytes()}) + "\n")
        answers.flush()
