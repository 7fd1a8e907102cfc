"""PyTorch's fp16, int8 and int4 products on this GPU, for the suite's step `peer` and `benchmarks import`.

usage: python3 torch_gemm.py > torch.json
x [tokens, columns] times w [rows, columns] transposed; CUDA graph replay over weights of more than
400 MB, so that the L2 cache holds none of them. Microseconds a call. Each product is compared with
one of floats before it is timed. Where PyTorch or a GPU is absent it says so in one line and exits
with 69.
"""
import datetime
import json
import subprocess
import sys

try:
    import torch
except ImportError:
    sys.exit(print("PyTorch is not installed for " + sys.executable, file=sys.stderr) or 69)
if not torch.cuda.is_available():
    sys.exit(print("PyTorch " + torch.__version__ + " finds no CUDA GPU", file=sys.stderr) or 69)

SHAPES = [(12288, 4096), (4096, 4096), (22016, 4096), (4096, 11008), (28672, 8192)]
TOKENS = [1, 16, 64, 2048]
GROUP, SAMPLES, SAMPLES_OF_MANY, ROTATED_BYTES = 128, 20, 5, 400 << 20
NMSE = 1e-4


def fp16(rows, columns, tokens):
    w = torch.randn(rows, columns, device="cuda", dtype=torch.float16) / columns**0.5
    x = torch.randn(tokens, columns, device="cuda", dtype=torch.float16)
    return w, lambda weights: torch.nn.functional.linear(x, weights), lambda: x.float() @ w.float().t()


def int8(rows, columns, tokens):
    w = torch.randint(-128, 128, (rows, columns), device="cuda", dtype=torch.int8)
    x = torch.randint(-128, 128, (tokens, columns), device="cuda", dtype=torch.int8)
    return w, lambda weights: torch._int_mm(x, weights.t()), lambda: x.float() @ w.float().t()


def int4(rows, columns, tokens):
    q = torch.randint(0, 16, (rows, columns), device="cuda", dtype=torch.uint8)
    w = torch._convert_weight_to_int4pack(q[:, ::2] << 4 | q[:, 1::2], 8)
    scales = torch.rand(columns // GROUP, rows, 2, device="cuda").to(torch.bfloat16)
    x = torch.randn(tokens, columns, device="cuda", dtype=torch.bfloat16)

    def plain():
        scale, zero = (scales[:, :, i].float().t().repeat_interleave(GROUP, 1) for i in range(2))
        return x.float() @ ((q.float() - 8) * scale + zero).t()

    return w, lambda weights: torch._weight_int4pack_mm(x, weights, GROUP, scales), plain


def measure(scheme, make, rows, columns, tokens):
    w, product, plain = make(rows, columns, tokens)
    expected = plain()
    error = ((product(w).float() - expected).square().sum() / expected.square().sum()).item()
    if not error <= NMSE:
        raise RuntimeError(f"{scheme} {rows}x{columns}, {tokens} tokens: NMSE {error:.2g}")
    del expected
    copies = [w] + [w.clone() for _ in range(ROTATED_BYTES // (w.numel() * w.element_size()))]
    many = tokens > 64
    if many:  # bound by arithmetic, wherever the weights are
        copies = copies[:2]
    for weights in copies:
        product(weights)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for weights in copies:
            product(weights)
    samples = []
    for i in range(-3, SAMPLES_OF_MANY if many else SAMPLES):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        if i >= 0:
            samples.append(start.elapsed_time(end) * 1e3 / len(copies))
    return samples


def driver():
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True).stdout.split("\n")[0].strip()
    except OSError:
        return ""


torch.manual_seed(5)
torch.backends.cuda.matmul.allow_tf32 = False
release, results, wrong = driver(), [], []
for scheme, make, fits in [
    ("W16A16", fp16, lambda tokens: True),
    ("W8A8", int8, lambda tokens: tokens > 16),
    ("W4A16g128", int4, lambda tokens: True),
]:
    for rows, columns in SHAPES:
        for tokens in filter(fits, TOKENS):
            try:
                samples = measure(scheme, make, rows, columns, tokens)
            except RuntimeError as failure:
                wrong.append(str(failure).split("\n")[0])
                continue
            results.append({
                "program": "PyTorch " + torch.__version__,
                "scheme": scheme,
                "device": torch.cuda.get_device_name(),
                "driver": release,
                "rows": rows,
                "columns": columns,
                "tokens": tokens,
                "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "samples_us": samples,
            })
json.dump(results, sys.stdout, indent=1)
if wrong:
    sys.exit("; ".join(wrong))
