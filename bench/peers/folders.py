"""Writes the Hugging Face folders that the peers open: their weights in plain BF16 or FP32, complete or absent.

transformers keeps the weights of a .gguf file packed and multiplies them by kernels of its own, so a peer that trains on
the file itself would not be at its best.
"""

import os
import shutil

import torch
from serve import serve
from tokens import control_tokens
from transformers import AutoModelForCausalLM, GgufConfig, LlamaConfig


class Folders:
    def expand(self, gguf, folder, dtype):
        """The weights of a .gguf file, expanded."""
        parent, name = os.path.split(gguf)
        plain = GgufConfig(gguf_file=name, dequantize=True)
        options = {"gguf_file": name, "quantization_config": plain, "dtype": getattr(torch, dtype)}
        return write(AutoModelForCausalLM.from_pretrained(parent, **options), folder)

    def random(self, config, folder, dtype):
        """Random weights in the shape that `config` tells, the same in every run."""
        torch.manual_seed(0)
        return write(AutoModelForCausalLM.from_config(LlamaConfig(**config), dtype=getattr(torch, dtype)), folder)


def write(model, folder):
    unfinished = f"{folder}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(unfinished)
    control_tokens().save_pretrained(unfinished)
    os.rename(unfinished, folder)
    return {"parameters": model.num_parameters()}


serve(Folders())
