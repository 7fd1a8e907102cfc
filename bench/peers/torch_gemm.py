"""PyTorch's fp16, int8 and int4 products on this GPU, for `benchmarks import`.

usage: python3 torch_gemm.py > torch.json
x [tokens, columns] times w [rows, columns] transposed; CUDA graph replay over weights of more than
400 MB, so that the L2 cache holds none of them. Microseconds a call.
"""
import datetime
import json
import torch

SHAPES = [(12288, 4096), (4096, 4096), (22016, 4096), (4096, 11008), (28672, 8192)]
TOKENS = [1, 16, 64, 2048]
GROUP, SAMPLES, ROTATED_BYTES = 128, 20, 400 << 20


def fp16(rows, columns, tokens):
    w = torch.randn(rows, columns, device="cuda", dtype=torch.float16) / columns**0.5
    x = torch.randn(tokens, columns, device="cuda", dtype=torch.float16)
    return w, lambda weights: torch.nn.functional.linear(x, weights)


def int8(rows, columns, tokens):
    w = torch.randint(-128, 128, (rows, columns), device="cuda", dtype=torch.int8)
    x = torch.randint(-128, 128, (tokens, columns), device="cuda", dtype=torch.int8)
    return w, lambda weights: torch._int_mm(x, weights.t())


def int4(rows, columns, tokens):
    codes = torch.randint(0, 256, (rows, columns // 2), device="cuda", dtype=torch.uint8)
    w = torch._convert_weight_to_int4pack(codes, 8)
    scales = torch.ones(columns // GROUP, rows, 2, device="cuda", dtype=torch.bfloat16)
    x = torch.randn(tokens, columns, device="cuda", dtype=torch.bfloat16)
    return w, lambda weights: torch._weight_int4pack_mm(x, weights, GROUP, scales)


def measure(make, rows, columns, tokens):
    w, product = make(rows, columns, tokens)
    copies = [w] + [w.clone() for _ in range(ROTATED_BYTES // (w.numel() * w.element_size()))]
    for weights in copies:
        product(weights)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for weights in copies:
            product(weights)
    samples = []
    for _ in range(SAMPLES):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        samples.append(start.elapsed_time(end) * 1e3 / len(copies))
    return samples


results = []
for scheme, make, fits in [
    ("W16A16", fp16, lambda tokens: True),
    ("W8A8", int8, lambda tokens: tokens > 16),
    ("W4A16g128", int4, lambda tokens: tokens <= 64),
]:
    for rows, columns in SHAPES:
        for tokens in filter(fits, TOKENS):
            results.append({
                "program": "PyTorch " + torch.__version__,
                "scheme": scheme,
                "device": torch.cuda.get_device_name(),
                "rows": rows,
                "columns": columns,
                "tokens": tokens,
                "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "samples_us": measure(make, rows, columns, tokens),
            })
print(json.dumps(results, indent=1))
