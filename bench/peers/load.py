"""Base model and adapter, as every peer opens them: a Hugging Face folder or a .gguf file, a PEFT adapter folder."""

import os

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def load_base(path, dtype=None):
    """dtype None: whatever transformers takes by itself."""
    given = {} if dtype is None else {"dtype": getattr(torch, dtype)}
    if path.endswith(".gguf"):
        folder, name = os.path.split(path)
        return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, **given)
    return AutoModelForCausalLM.from_pretrained(path, **given)


def load_adapted(path, adapter, dtype=None):
    """The base with a trainable adapter: base weights frozen, LoRA weights FP32."""
    model = PeftModel.from_pretrained(load_base(path, dtype), adapter, is_trainable=True)
    model.train()
    return model
