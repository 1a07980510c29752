"""Pass a control to `model.generate` of the embedded model; print the output and its receipt.

python examples/generate.py
"""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from thinkpace import BudgetForcing
from thinkpace.adapters.hf import logits_processors
from thinkpace.eval import embedded
from thinkpace.prompts import STEP_BY_STEP


def main() -> None:
    path = embedded.path("hf")
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    model: Any = AutoModelForCausalLM.from_pretrained(path)
    messages = STEP_BY_STEP.render("Modulo 10: a=7;b=a*3;c=b+9;d=c-4;e=d*7; e=?")
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)

    control = BudgetForcing(max_tokens=96, waits=1, answer_reserve=16)
    processors = logits_processors(tokenizer, control, temperature=0, max_new_tokens=200)
    output = model.generate(
        **prompt, do_sample=False, temperature=None, top_k=None, max_new_tokens=200, logits_processor=processors
    )

    print(tokenizer.decode(output[0][prompt.input_ids.shape[1] :]))
    [receipt] = processors.receipts(output)
    print(f"{receipt.thinking_tokens} thinking tokens, end: {receipt.end}")
    for event in receipt.events:
        print(f"token {event.at}: {event.what} ({event.why})")


if __name__ == "__main__":
    main()
