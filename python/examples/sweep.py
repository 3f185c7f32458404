# %% [markdown]
# # A sweep in a notebook
#
# Cells of a notebook, and a script as it stands: `python python/examples/sweep.py`. It needs no server: `trie.forecast`
# replays in virtual time. With a server, `Client(...).sync_run(...)` takes the place of `trie.forecast(...)`.

# %%
import trie

# %% [markdown]
# A workload made here: an agent with three tool calls, and one with eight.

# %%
short = trie.Workload(3, 2_000, [120] * 3, [900] * 3, [2.0] * 3, 400)
long = trie.Workload(8, 6_000, [150] * 8, [1_500] * 8, [1.0] * 8, 600)
workload = [short, short, long]

# %% [markdown]
# More and more agents on one simulated engine: the p90 of the time to the first token, and what the engine gets done.

# %%
results = {
    concurrency: trie.forecast(workload, "qwen3-32b-1xh200", concurrency, duration=600, seed=1)
    for concurrency in (2, 8, 32)
}
for concurrency, result in results.items():
    ttft = result.per_trace.ttft_s.p90
    rate = result.workload.completion_tok_per_s.steady_state
    print(f"{concurrency:3d} agents   TTFT p90 {ttft} s   answers {rate} tok/s   trust {result.verdict.trust}")

# %% [markdown]
# The report as the command line prints it; in a notebook `results[8]` alone shows it as tables.

# %%
print(results[8].report(width=120))

# %% [markdown]
# What a second engine changes, request by request, with intervals, and a gate on it.

# %%
two = trie.forecast(workload, "qwen3-32b-1xh200", 8, duration=600, seed=1, replicas=2)
comparison = trie.compare(results[8], two, fail_if="ttft_s.p90 > +5%")
print(comparison.report(width=120))
print("gate:", comparison.facts.gates[0].status)

# %% [markdown]
# Records as columns: `polars.DataFrame(...)`, `pyarrow.table(...)` and `pandas.DataFrame.from_arrow(...)` take them as
# they are.

# %%
requests = results[8].requests()
print(requests, requests.column_names[:5])
