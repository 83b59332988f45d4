"""The fuzzers' corpus, and changes of it at random: an answer or a SmartDataError. `make fuzz` goes on."""

import random

import pytest
from fuzz_targets import CORPUS, TARGETS


def changed(data: bytes, choose: random.Random) -> bytes:
    """The same with a few bytes changed, cut out, or put in."""
    result = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        place = choose.randrange(len(result) + 1)
        kind = choose.randrange(4)
        if kind == 0 and place < len(result):
            result[place] ^= 1 << choose.randrange(8)
        elif kind == 1 and place < len(result):
            result[place] = choose.choice([0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x0A, 0x3B])
        elif kind == 2:
            del result[place : place + choose.randint(1, 8)]
        else:
            result[place:place] = result[: choose.randint(1, 8)]
    return bytes(result)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_in_the_corpus_or_near_it_breaks_a_reader(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert len(files) >= 4
    target, choose = TARGETS[name](), random.Random(1)
    try:
        for file in files:
            data = file.read_bytes()
            target(data)
            for _ in range(60):
                target(changed(data, choose))
    finally:
        target.close()
