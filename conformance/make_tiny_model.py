#!/usr/bin/env python3
"""Makes a tiny random-weight Qwen3 checkpoint around a real tokenizer.

  make_tiny_model.py --tokenizer FOLDER --out FOLDER [--mode text|raw] [--gguf FILE]

The tokenizer's folder holds tokenizer.json and tokenizer_config.json. Needs numpy, and the package
gguf for --gguf. No torch: the safetensors file is written directly.

What the model says is chosen by a bias on its output layer:
  text  printable ASCII tokens only: every token is whole text, none is special
  raw   any token of the vocabulary with equal chance, special ones and parts of UTF-8 sequences
        included: the hard case for whoever reads the stream
The bias rides on one embedding dimension that is the same for every token and that no layer writes
to, so behind the final norm it is a constant."""

import argparse
import json
import os
import shutil
import struct

import numpy as np

CONSTANT = 0  # the embedding dimension that carries the bias
CONSTANT_VALUE = 8.0
SILENCED = -8.0  # times the normed constant (about 4): a logit of about -30

GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def arguments():
    parser = argparse.ArgumentParser(description="Makes a tiny random-weight Qwen3 checkpoint.")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--mode", choices=("text", "raw"), default="text")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--kv-heads", type=int, default=1)
    parser.add_argument("--max-len", type=int, default=262144)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--gguf", help="also write a GGUF file (F16) for llama.cpp")
    return parser.parse_args()


class Tokenizer:
    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
            content = json.load(file)
        with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.vocabulary = dict(content["model"]["vocab"])
        self.merges = content["model"]["merges"]
        self.added = content["added_tokens"]
        added = {token["content"]: token["id"] for token in self.added}
        self.size = max([*self.vocabulary.values(), *added.values()]) + 1
        eos = self.config.get("eos_token")
        eos = eos["content"] if isinstance(eos, dict) else eos
        self.eos = added.get(eos, self.vocabulary.get(eos))

    def printable(self):
        """Which ids are printable ASCII and not only spaces."""
        byte_of = bytes_by_letter()
        added = {token["id"] for token in self.added}
        printable = np.zeros(self.size, bool)
        for text, number in self.vocabulary.items():
            codes = [byte_of.get(letter, 255) for letter in text]
            ascii_only = all(32 <= code < 127 for code in codes)
            printable[number] = ascii_only and any(code != 32 for code in codes) and number not in added
        return printable


def bytes_by_letter():
    """The letters that byte-level BPE writes for bytes: printable ones stand for themselves, the
    others follow from 256 on."""
    codes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(code): code for code in codes}
    others = [code for code in range(256) if code not in codes]
    letters.update({chr(256 + place): code for place, code in enumerate(others)})
    return letters


def tensors(args, tokenizer):
    """Names and values, in file order."""
    random = np.random.default_rng(args.seed)
    hidden, inner, width = args.hidden, 2 * args.hidden, args.head_dim

    def matrix(rows, columns):
        return (random.standard_normal((rows, columns)) * (0.6 / np.sqrt(columns))).astype(np.float32)

    def silent(weights):  # never writes the constant dimension
        weights[CONSTANT, :] = 0
        return weights

    def ones(length):
        return np.ones(length, np.float32)

    embedding = random.standard_normal((tokenizer.size, hidden)).astype(np.float32)
    embedding[:, CONSTANT] = CONSTANT_VALUE
    head = random.standard_normal((tokenizer.size, hidden)).astype(np.float32) * 0.10
    head[:, CONSTANT] = 0.0
    if args.mode == "text":
        head[~tokenizer.printable(), CONSTANT] = SILENCED

    found = [("model.embed_tokens.weight", embedding)]
    for layer in range(args.layers):
        parts = [
            ("input_layernorm", ones(hidden)),
            ("self_attn.q_proj", matrix(args.heads * width, hidden)),
            ("self_attn.k_proj", matrix(args.kv_heads * width, hidden)),
            ("self_attn.v_proj", matrix(args.kv_heads * width, hidden)),
            ("self_attn.o_proj", silent(matrix(hidden, args.heads * width))),
            ("self_attn.q_norm", ones(width)),
            ("self_attn.k_norm", ones(width)),
            ("post_attention_layernorm", ones(hidden)),
            ("mlp.gate_proj", matrix(inner, hidden)),
            ("mlp.up_proj", matrix(inner, hidden)),
            ("mlp.down_proj", silent(matrix(hidden, inner))),
        ]
        found += [(f"model.layers.{layer}.{name}.weight", values) for name, values in parts]
    return [*found, ("model.norm.weight", ones(hidden)), ("lm_head.weight", head)]


def config(args, tokenizer):
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": tokenizer.size,
        "hidden_size": args.hidden,
        "intermediate_size": 2 * args.hidden,
        "num_hidden_layers": args.layers,
        "num_attention_heads": args.heads,
        "num_key_value_heads": args.kv_heads,
        "head_dim": args.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "max_position_embeddings": args.max_len,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "use_sliding_window": False,
        "sliding_window": None,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos,
        "torch_dtype": "bfloat16",
    }


def bfloat16(values):
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, named):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, values in named:
        end = offset + 2 * values.size
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for _, values in named:
            file.write(bfloat16(values).tobytes())


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)


def write_checkpoint(args, tokenizer, named):
    write_safetensors(os.path.join(args.out, "model.safetensors"), named)
    # Temperature 1 without top-k or top-p: what is sampled is what the output's bias says.
    generation = {"do_sample": True, "temperature": 1.0, "eos_token_id": tokenizer.eos}
    write_json(os.path.join(args.out, "generation_config.json"), generation)
    shutil.copy(os.path.join(tokenizer.folder, "tokenizer.json"), args.out)
    tokenizer_config = {**tokenizer.config, "model_max_length": args.max_len}
    write_json(os.path.join(args.out, "tokenizer_config.json"), tokenizer_config)
    # Last: the set-up script takes this file as the sign that the model is there.
    write_json(os.path.join(args.out, "config.json"), config(args, tokenizer))


def gguf_name(name):
    base = name.removesuffix(".weight")
    if not base.startswith("model.layers."):
        return GGUF_NAMES[base] + ".weight"
    _, _, layer, part = base.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[part]}.weight"


def add_gguf_tokenizer(writer, tokenizer):
    from gguf import TokenType

    texts = [f"[PAD{number}]" for number in range(tokenizer.size)]
    types = [TokenType.UNUSED] * tokenizer.size
    for text, number in tokenizer.vocabulary.items():
        texts[number], types[number] = text, TokenType.NORMAL
    for token in tokenizer.added:
        texts[token["id"]] = token["content"]
        types[token["id"]] = TokenType.CONTROL if token.get("special") else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    merges = tokenizer.merges
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(tokenizer.eos)
    writer.add_add_bos_token(False)
    if isinstance(tokenizer.config.get("chat_template"), str):
        writer.add_chat_template(tokenizer.config["chat_template"])


def write_gguf(args, tokenizer, named):
    from gguf import GGUFWriter, LlamaFileType

    writer = GGUFWriter(args.gguf, "qwen3")
    writer.add_name("tiny-qwen3-" + args.mode)
    writer.add_context_length(args.max_len)
    writer.add_embedding_length(args.hidden)
    writer.add_block_count(args.layers)
    writer.add_feed_forward_length(2 * args.hidden)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.kv_heads)
    writer.add_key_length(args.head_dim)
    writer.add_value_length(args.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1000000.0)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    add_gguf_tokenizer(writer, tokenizer)
    for name, values in named:
        writer.add_tensor(gguf_name(name), values if values.ndim == 1 else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    args = arguments()
    tokenizer = Tokenizer(args.tokenizer)
    named = tensors(args, tokenizer)
    os.makedirs(args.out, exist_ok=True)
    if args.gguf:
        write_gguf(args, tokenizer, named)
    write_checkpoint(args, tokenizer, named)
    millions = sum(values.size for _, values in named) / 1e6
    print(f"{args.out}: {tokenizer.size} tokens, {millions:.1f} M parameters, mode {args.mode}")


if __name__ == "__main__":
    main()
