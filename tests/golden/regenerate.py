"""`python -m tests.golden.regenerate`: write every golden file anew. Read the difference before you keep it."""

from __future__ import annotations

from tests.golden.tell import GOLDEN, golden_texts


def regenerate() -> int:
    """Write what changed, and remove what belongs to no profile or host any more; how many files that were."""
    texts = dict(golden_texts())
    changed = {path: text for path, text in texts.items() if not path.exists() or path.read_text() != text}
    stale = [path for path in GOLDEN.rglob("*.txt") if path not in texts]
    for path, text in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in stale:
        path.unlink()
    return len(changed) + len(stale)


if __name__ == "__main__":
    print(f"{regenerate()} files changed")
