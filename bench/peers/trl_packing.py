"""TRL's SFTTrainer with its packing: rows as token ids with a completion mask, packed best-fit into blocks, collated
without padding, loss of the completion alone, computed in chunks (TRL's own). No gradient checkpointing, which is its
default and saves memory for time. The trainer runs in a thread that waits for a command before each optimizer step.
"""

import queue
import tempfile
import threading
import time

import torch
from datasets import Dataset
from load import load_adapted
from serve import serve, versions
from tokens import control_tokens
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer


class Turns(TrainerCallback):
    """Holds each optimizer step until it is asked for, and times it."""

    def __init__(self):
        self.commands = queue.Queue()
        self.answers = queue.Queue()

    def on_step_begin(self, *_, **__):
        self.commands.get()
        self.tokens, self.loss = 0, 0.0
        self.started = time.perf_counter()

    def on_step_end(self, *_, **__):
        seconds = time.perf_counter() - self.started
        self.answers.put({"loss": self.loss, "tokens": self.tokens, "seconds": seconds})


class CountingTrainer(SFTTrainer):
    turns = None

    def training_step(self, model, inputs, *rest):
        assert inputs.get("attention_mask") is None, "a padded batch would count its padding as tokens"
        self.turns.tokens += inputs["input_ids"].numel()
        loss = super().training_step(model, inputs, *rest)
        self.turns.loss += loss.item()
        return loss


class Packing:
    def open(self, model, adapter, dtype, device, threads, rows, blockTokens, blocksPerBatch, gradAccumSteps, learningRate):
        torch.set_num_threads(threads)
        self.turns = Turns()
        self.folder = tempfile.TemporaryDirectory()
        data = Dataset.from_list([{"input_ids": row["tokens"], "completion_mask": mask_of(row)} for row in rows])
        config = SFTConfig(
            output_dir=self.folder.name,
            packing=True,
            max_length=blockTokens,
            completion_only_loss=True,
            per_device_train_batch_size=blocksPerBatch,
            gradient_accumulation_steps=gradAccumSteps,
            gradient_checkpointing=False,
            learning_rate=learningRate,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_steps=10**6,
            bf16=dtype == "bfloat16",
            use_cpu=device == "cpu",
            dataloader_pin_memory=False,
            logging_steps=10**6,
            save_strategy="no",
            report_to="none",
        )
        adapted = load_adapted(model, adapter, dtype)
        tokenizer = control_tokens()
        trainer = CountingTrainer(adapted, config, train_dataset=data, processing_class=tokenizer, callbacks=[self.turns])
        trainer.turns = self.turns
        threading.Thread(target=self.train, args=(trainer, threads), daemon=True).start()
        return {"versions": versions(), "blocks": len(trainer.train_dataset)}

    def train(self, trainer, threads):
        torch.set_num_threads(threads)
        try:
            trainer.train()
        except Exception as error:
            self.turns.answers.put({"error": f"{type(error).__name__}: {error}"})

    def step(self, microBatches, learningRate):
        self.turns.commands.put("go")
        return self.turns.answers.get()


def mask_of(row):
    return [int(position >= row["targetStart"]) for position in range(len(row["tokens"]))]


if __name__ == "__main__":
    serve(Packing())
