"""Python code that runs an exported ONNX file: onnxruntime and NumPy, no torch."""

import json
from pathlib import Path


def script(
    path: Path, graph: str, *, tokens: bool, listed: bool, bidirectional: bool, zeros: bool, columns: int
) -> str:
    """Return code that draws 200 tokens, or labels a row, or forecasts.

    Args:
        graph: `sequence` or `step`.
        tokens: whether it reads tokens; else numbers.
        listed: whether the vocabulary is in the file.
        zeros: whether the initial state is zeros; else it is in the file.
        columns: numbers at each position.
    """
    read = "ids" if tokens else "values"
    lines = [
        *(["import json", ""] if listed or not zeros else []),
        "import numpy as np",
        "import onnxruntime",
        "",
        f"session = onnxruntime.InferenceSession({json.dumps(str(path), ensure_ascii=False)})",
        *(["notes = session.get_modelmeta().custom_metadata_map"] if listed or not zeros else []),
        *(['vocabulary = json.loads(notes["vocabulary"])'] if listed else []),
    ]
    if bidirectional:
        lines += [
            *_row(tokens=tokens, columns=columns),
            f'[outputs] = session.run(None, {{"{read}": {read}}})  # (B, T, {columns})',
            "print(outputs.argmax(-1))" if tokens else "print(outputs)",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        "inputs = session.get_inputs()[1:]",
        "state = {i.name: np.zeros((1, *i.shape[1:]), np.float32) for i in inputs}"
        if zeros
        else 'state = {n: np.array([row], kind) for n, (kind, row) in json.loads(notes["initial_state"]).items()}',
        "",
    ]
    call = f'{{"{read}": {read}, **state}}'
    if not tokens:
        step = graph == "step"
        lines += [
            *(
                [f"values = np.zeros((1, {columns}), np.float32)  # the last known row, scaled"]
                if step
                else _row(tokens=tokens, columns=columns)
            ),
            "for _ in range(16):  # each forecast is read as the next row",
            f"    outputs, *after = session.run(None, {call})",
            "    state = dict(zip(state, after))",
            "    values = outputs" if step else "    values = outputs[:, -1:]",
            "    print(*values.ravel())",
        ]
        return "\n".join(lines) + "\n"
    last, shape, one = (
        ("logits[0]", "[1]", "[token]") if graph == "step" else ("logits[0, -1]", "[[1]]", "[[token]]")
    )
    prompt = "one token" if graph == "step" else "any number of tokens"
    lines += [
        "rng = np.random.default_rng(1)",
        f"ids = np.array({shape})  # the prompt, {prompt}",
        "for _ in range(200):",
        f"    logits, *after = session.run(None, {call})",
        "    state = dict(zip(state, after))",
        f"    scaled = {last}.astype(float) / 0.8  # the temperature",
        "    p = np.exp(scaled - scaled.max())",
        "    token = rng.choice(len(p), p=p / p.sum())",
        '    print(vocabulary[token], end="")' if listed else '    print(token, end=" ")',
        f"    ids = np.array({one})",
    ]
    return "\n".join(lines) + "\n"


def _row(*, tokens: bool, columns: int) -> list[str]:
    if tokens:
        return ["ids = np.array([[1, 2, 1]])  # the row, as numbers of its tokens"]
    return [f"values = np.zeros((1, 8, {columns}), np.float32)  # what is known, scaled"]
