"""AArch64: what LLVM emits for it, linked here, and read back instruction by instruction.

No such machine is at hand. The test reads where the linked code leads, and not how the linker got there.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from test_link import _CODE

from smartdata_ts.kernels.compiler.link import UnlinkableError, link
from smartdata_ts.kernels.compiler.relocations import AArch64

RETURN = 0xD65F03C0
GLOB_DAT, RELATIVE, ABS64 = 1025, 1027, 257


def emitted(code: str) -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = "aarch64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(reloc="pic", codemodel="default")
    return bytes(machine.emit_object(llvm.parse_assembly(code.replace("x86_64-unknown-linux-gnu", triple))))


class Image(NamedTuple):
    """A shared object as a loader reads it; addresses are offsets within the file."""

    content: bytes
    segments: dict[int, tuple[int, int, int]]  # start -> end in the file, end in memory, alignment
    symbols: dict[str, int]  # exported ones
    entries: dict[int, tuple[int, str, int]]  # place -> kind, outside name, addend

    def word(self, place: int) -> int:
        found: int = struct.unpack_from("<I", self.content, place)[0]
        return found


def read(content: bytes) -> Image:
    machine = struct.unpack_from("<H", content, 18)[0]
    assert machine == 183
    heads = [struct.unpack_from("<IIQQQQQQ", content, 64 + 56 * k) for k in range(5)]
    segments = {head[3]: (head[3] + head[5], head[3] + head[6], head[7]) for head in heads if head[0] == 1}
    (place,) = (head[3] for head in heads if head[0] == 2)
    dynamic = dict(struct.unpack_from("<QQ", content, place + 16 * k) for k in range(11))
    symbol_count = struct.unpack_from("<II", content, dynamic[4])[1]
    names, symbols = [], {}
    for k in range(symbol_count):
        head = struct.unpack_from("<IBBHQQ", content, dynamic[6] + 24 * k)
        start = dynamic[5] + head[0]
        names.append(content[start : content.index(b"\0", start)].decode())
        if head[3]:
            symbols[names[-1]] = head[4]
    entries = {}
    for k in range(dynamic[8] // 24):
        place, info, addend = struct.unpack_from("<QQq", content, dynamic[7] + 24 * k)
        entries[place] = (info & 0xFFFFFFFF, names[info >> 32], addend)
    return Image(content, segments, symbols, entries)


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def led_to(image: Image, start: int) -> Iterator[tuple[str, int]]:
    """Where the instructions from a place to its return lead: calls, and addresses of memory."""
    pages: dict[int, int] = {}
    for place in range(start, start + 400, 4):
        word = image.word(place)
        if word == RETURN or word & 0xFFFFFC1F == 0xD61F0000:  # ret, br
            return
        if word >> 26 in (0b100101, 0b000101):  # bl, b
            yield "call", place + 4 * signed(word & 0x3FFFFFF, 26)
        elif word & 0x9F000000 == 0x90000000:  # adrp
            wide = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
            pages[word & 31] = (place >> 12 << 12) + (signed(wide, 21) << 12)
        elif word & 0xFFC00000 == 0x91000000 and word >> 5 & 31 in pages:  # add
            yield "address", pages[word >> 5 & 31] + (word >> 10 & 0xFFF)
        elif word & 0x3B000000 == 0x39000000 and word >> 5 & 31 in pages:  # ldr, str of any size
            unit = 4 if word >> 23 & 1 and word >> 26 & 1 else word >> 30
            yield "address", pages[word >> 5 & 31] + ((word >> 10 & 0xFFF) << unit)


@pytest.fixture(scope="module")
def image() -> Image:
    return read(link(emitted(_CODE)))


def test_every_function_is_there_and_segments_fit_the_largest_pages(image: Image) -> None:
    names = {"through_table", "calls", "count", "third", "pick", "address"}
    assert image.symbols.keys() == names
    starts = sorted(image.segments)
    assert all(start % 65_536 == 0 for start in starts)
    assert [image.segments[start][2] for start in starts] == [65_536] * 3
    code_start, code_end = starts[1], image.segments[starts[1]][0]
    assert all(code_start <= place < code_end for place in image.symbols.values())


def test_a_call_outside_goes_through_a_jump_and_one_within_straight_on(image: Image) -> None:
    outside, within = (place for kind, place in led_to(image, image.symbols["calls"]) if kind == "call")
    ((_, entry),) = led_to(image, outside)
    assert image.entries[entry] == (GLOB_DAT, "labs", 0)
    assert image.word(outside + 8) == 0xD61F0220  # br x17
    assert image.word(within) == 0xD37FF800  # lsl x0, x0, #1
    assert image.word(within + 4) == RETURN


def test_an_outside_variable_is_reached_through_the_table(image: Image) -> None:
    ((_, entry),) = led_to(image, image.symbols["address"])
    assert image.entries[entry] == (GLOB_DAT, "PyExc_TypeError", 0)


def test_addresses_in_data_are_filled_in_at_load(image: Image) -> None:
    ((_, table), *_) = led_to(image, image.symbols["through_table"])
    kind, name, twice = image.entries[table]
    assert (kind, name, image.word(twice)) == (RELATIVE, "", 0xD37FF800)
    assert image.entries[table + 8] == (ABS64, "labs", 0)


def test_constants_and_data_are_reached(image: Image) -> None:
    zeroed, *_, preset = (place for _, place in led_to(image, image.symbols["count"]))
    data = image.segments[max(image.segments)]
    assert data[0] <= zeroed < data[1]  # in memory, and not in the file
    assert image.content[preset - preset % 16 :][:16] == struct.pack("<qq", 7, 8)


@pytest.mark.parametrize("unit", range(5))
def test_an_address_that_a_load_cannot_have_is_refused(unit: int) -> None:
    kind = (278, 284, 285, 286, 299)[unit]
    code = bytearray(4)
    AArch64().write(code, 0, kind, 0x5000 + (3 << unit), 0)
    assert struct.unpack("<I", code)[0] == 3 << 10
    if unit:
        with pytest.raises(UnlinkableError, match="not aligned"):
            AArch64().write(code, 0, kind, 0x5001, 0)


@pytest.mark.parametrize(("kind", "reach"), [(283, 1 << 27), (274, 1 << 20), (275, 1 << 32)])
def test_what_is_too_far_is_refused(kind: int, reach: int) -> None:
    place = 1 << 40
    for target in (place + reach - 4096, place - reach):
        AArch64().write(bytearray(4), 0, kind, target, place)
    for target in (place + reach, place - reach - 4096):
        with pytest.raises(UnlinkableError, match="has no room in"):
            AArch64().write(bytearray(4), 0, kind, target, place)


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(UnlinkableError, match="relocation 999 is not known"):
        AArch64().write(bytearray(4), 0, 999, 0, 0)


def test_objects_of_two_machines_do_not_become_one() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(reloc="pic")
    other = bytes(machine.emit_object(llvm.parse_assembly(_CODE)))
    with pytest.raises(UnlinkableError, match="different machines"):
        link(emitted(_CODE), other)
