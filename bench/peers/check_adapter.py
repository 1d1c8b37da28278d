"""What transformers and PEFT compute with an adapter folder over a base folder, to be set beside bt-native's numbers.

  python bench/peers/check_adapter.py --base FOLDER --adapter FOLDER --tokens TOKENS.json > logits.json

TOKENS.json is a list of rows of token ids; "-" reads it from stdin. Prints {"vocab", "rows": [{"logits", "logProbs"}]}:
base64 of little-endian float32, logits [length - 1, vocab] that predict tokens 1 .. length - 1, and the
log-probabilities [length - 1] of those tokens. FP32, CPU, each row alone. --logits no leaves the logits out.
"""
import argparse
import base64
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def pack(tensor):
    return base64.b64encode(tensor.to(torch.float32).contiguous().numpy().tobytes()).decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", help="none: the base alone")
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--logits", choices=("yes", "no"), default="yes")
    options = parser.parse_args()

    rows = json.load(sys.stdin if options.tokens == "-" else open(options.tokens))
    model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32, attn_implementation="eager")
    if options.adapter:
        model = PeftModel.from_pretrained(model, options.adapter)
        unloaded = [name for name, value in model.named_parameters() if "lora_B" in name and not value.any()]
        if unloaded:
            print(f"warning: {len(unloaded)} of the adapter's B matrices are zero", file=sys.stderr)
    model.eval()

    found = []
    with torch.no_grad():
        for row in rows:
            logits = model(input_ids=torch.tensor([row])).logits[0, :-1]
            log_probs = torch.log_softmax(logits, -1).gather(1, torch.tensor(row[1:])[:, None])[:, 0]
            found.append({"logProbs": pack(log_probs)} | ({"logits": pack(logits)} if options.logits == "yes" else {}))
    json.dump({"vocab": logits.shape[-1], "rows": found}, sys.stdout)
    print()


main()
