"""A real llama-server with a tiny random model: what goes over the wire is then real; what it says is noise.

Set TOOLWRIGHT_LLAMA_SERVER to a llama-server binary, and have `gguf` installed (pip install gguf).
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from typing import Literal

import numpy as np
import pytest

from toolwright.llm_planner.language.answers import Answer
from toolwright.llm_planner.language.language_model import LanguageModel
from toolwright.llm_planner.language.model_cache import ModelError, NoCache
from toolwright.llm_planner.language.model_client import Client, Limits
from toolwright.llm_planner.language.model_endpoint import connect, context_size, count_tokens, named, parse
from toolwright.llm_planner.run.executor import run_sentence

SERVER = os.environ.get("TOOLWRIGHT_LLAMA_SERVER", "")
CONTEXT = 8192
EMBEDDING, HEADS, LAYERS, HIDDEN = 64, 4, 1, 128
CHAT = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}<|assistant|>"

pytestmark = pytest.mark.skipif(not SERVER, reason="TOOLWRIGHT_LLAMA_SERVER names no llama-server binary")


def write_model(path):
    """A llama of one layer with random weights, whose tokens are bytes."""
    gguf = pytest.importorskip("gguf", reason="pip install gguf")
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "llama")
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256))]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * 256]
    writer.add_name("random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT)

    def tensor(name, *shape):
        data = np.ones(shape) if len(shape) == 1 else rng.normal(0.0, 0.02, shape)
        writer.add_tensor(name, data.astype(np.float32))

    tensor("token_embd.weight", len(tokens), EMBEDDING)
    tensor("output_norm.weight", EMBEDDING)
    tensor("output.weight", len(tokens), EMBEDDING)
    for layer in range(LAYERS):
        tensor(f"blk.{layer}.attn_norm.weight", EMBEDDING)
        tensor(f"blk.{layer}.ffn_norm.weight", EMBEDDING)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"blk.{layer}.{name}.weight", EMBEDDING, EMBEDDING)
        for name, shape in (("gate", (HIDDEN, EMBEDDING)), ("up", (HIDDEN, EMBEDDING)), ("down", (EMBEDDING, HIDDEN))):
            tensor(f"blk.{layer}.ffn_{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    write_model(path)
    return path


@pytest.fixture
def serve(model_file, tmp_path):
    """Starts a server with a context of a given size; returns its URL."""
    pytest.importorskip("pydantic_ai", reason="the extra 'llm' is not installed")
    processes = []

    def start(context):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [SERVER, "-m", str(model_file), "-c", str(context), "-np", "1", "-t", "1"]
        with open(tmp_path / "server.log", "ab") as log:
            processes.append(
                subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log)
            )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                return f"http://127.0.0.1:{port}/v1#random"
            except OSError:
                assert processes[-1].poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    yield start
    for process in processes:
        process.terminate()
        process.wait(30)


def client_of(url, **limits):
    endpoint = named(parse(url))
    return Client(endpoint, connect(endpoint), NoCache(), Limits(**{"silence": 120.0, "pause": 0.01, **limits}))


class Choice(Answer):
    """Nothing in it is free text, so that even noise ends."""

    tool: Literal["tweezers", "tongs", "none"]
    needed: bool


def test_the_server_holds_the_schema_even_where_the_model_is_noise(serve):
    client = client_of(serve(CONTEXT), tokens=400)
    answer = client.ask("planner", "You choose a tool.", "A bead and a cup.", Choice, lambda answer: answer)
    assert isinstance(answer, Choice)
    spent = client.spent()
    assert spent.requests >= 1 and spent.failed_requests == 0
    assert spent.tokens_in > 100 and spent.tokens_out > 10  # as the server counted them: bytes
    client.close()


def test_an_answer_that_runs_on_is_cut_off_and_told_so(serve):
    client = client_of(serve(CONTEXT), tokens=8)
    with pytest.raises(ModelError, match="cut off after 8 tokens"):
        client.ask("planner", "You choose a tool.", "A bead and a cup.", Choice, lambda answer: answer)
    assert client.spent().requests == client.limits.answers
    client.close()


def test_the_server_tells_its_context_and_counts_tokens(serve):
    endpoint = parse(serve(1024))
    assert context_size(endpoint) == 1024
    assert count_tokens(endpoint, "abcdefgh") == count_tokens(endpoint, "abcd") + 4  # bytes, and a space in front


def test_a_context_that_is_too_small_is_told_and_nothing_moves(serve, world):
    model = LanguageModel(client_of(serve(1024)))
    record = run_sentence("put the bead into the cup", world, world, model, lambda event: None)
    model.close()
    assert record.status == "rejected" and "context holds 1,024" in record.reason and world.calls == []


def test_the_servers_own_refusal_of_a_long_prompt_is_understood(serve, world):
    client = client_of(serve(1024))
    client.context = 100_000  # the user is wrong about it
    record = run_sentence("put the bead into the cup", world, world, LanguageModel(client), lambda event: None)
    client.close()
    assert record.status == "rejected" and "context holds 1,024" in record.reason and world.calls == []


def test_noise_moves_nothing(serve, world):
    client = client_of(serve(CONTEXT * 2), tokens=400)
    record = run_sentence("put the bead into the cup", world, world, LanguageModel(client), lambda event: None)
    client.close()
    assert not record.success and record.status in ("rejected", "refused") and world.calls == []
