"""Where a linker must write addresses, as each machine has it: relocations of ELF for x86-64 and AArch64.

Numbers and formulas: System V ABI, AMD64 supplement, section 4.4; ELF for the Arm 64-bit Architecture
(aaelf64), sections 5.7 and 5.8. S + A is the address meant, P the place that is written.
"""

import struct
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple


class UnlinkableError(Exception):
    """The object holds something that this small linker does not know."""


class Loaded(NamedTuple):
    """The numbers of the relocations that the system's loader applies."""

    absolute: int  # an outside address; objects have it too
    table: int  # an outside address in the table
    base: int  # an address of the object's own


class Machine(ABC):
    """One machine's numbers and forms."""

    number: int  # in the ELF header
    page_size: int  # the largest that its systems have
    loaded: Loaded
    calls: tuple[int, ...]  # which may go through a jump, where the function is outside
    through_table: tuple[int, ...]  # which mean a symbol's place in the table
    stub_size: int

    @abstractmethod
    def stub(self, place: int, entry: int) -> bytes:
        """Return a jump that stands at `place` and goes where the table's `entry` says."""

    @abstractmethod
    def write(self, content: bytearray, offset: int, kind: int, target: int, place: int) -> None:
        """Write `target` (S + A) at an offset of a section, which will be at `place` (P)."""


class Amd64(Machine):
    """AMD64: distances of 32 bits within instructions."""

    number, page_size = 62, 4096
    loaded = Loaded(1, 6, 8)
    calls = (4,)
    through_table = (9, 41, 42)
    stub_size = 8
    _distances: ClassVar = {2: "<i", 4: "<i", 9: "<i", 41: "<i", 42: "<i", 24: "<q"}

    def stub(self, place: int, entry: int) -> bytes:
        """Return jmp *[rip + distance]."""
        return b"\xff\x25" + struct.pack("<i", entry - (place + 6)) + bytes(2)

    def write(self, content: bytearray, offset: int, kind: int, target: int, place: int) -> None:
        """Write a distance."""
        if kind not in self._distances:
            raise UnlinkableError(f"relocation {kind} is not known")
        struct.pack_into(self._distances[kind], content, offset, target - place)


class AArch64(Machine):
    """Arm, 64 bits: parts of an address within instructions of four bytes."""

    number, page_size = 183, 65_536
    loaded = Loaded(257, 1025, 1027)
    calls = (282, 283)
    through_table = (311, 312)
    stub_size = 16
    _distances: ClassVar = {260: "<q", 261: "<i"}
    _pages = (275, 276, 311)
    # The low twelve bits of an address, in units of what is loaded: 2 to this power of bytes.
    _low_parts: ClassVar = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4, 312: 3}

    def stub(self, place: int, entry: int) -> bytes:
        """Return adrp x16, page; ldr x17, [x16, low part]; br x17; a word of padding."""
        code = bytearray(struct.pack("<4I", 0x90000010, 0xF9400211, 0xD61F0220, 0xD503201F))
        self.write(code, 0, 311, entry, place)
        self.write(code, 4, 312, entry, place + 4)
        return bytes(code)

    def write(self, content: bytearray, offset: int, kind: int, target: int, place: int) -> None:
        """Write a distance, or fill in an instruction's part of one."""
        if kind in self._distances:
            struct.pack_into(self._distances[kind], content, offset, target - place)
        elif kind in self._pages:
            _fill_wide(content, offset, (target >> 12) - (place >> 12))
        elif kind == 274:
            _fill_wide(content, offset, target - place)
        elif kind in self._low_parts:
            unit = self._low_parts[kind]
            if target & ((1 << unit) - 1):
                raise UnlinkableError(f"relocation {kind}: {target:#x} is not aligned")
            _fill(content, offset, (target & 0xFFF) >> unit, 10, 12)
        elif kind in self.calls:
            _fill(content, offset, _signed((target - place) >> 2, 26), 0, 26)
        else:
            raise UnlinkableError(f"relocation {kind} is not known")


MACHINES: dict[int, Machine] = {machine.number: machine for machine in (Amd64(), AArch64())}


def _signed(value: int, bits: int) -> int:
    """Return a number in two's complement; refuse one that has no room."""
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise UnlinkableError(f"a distance of {value:#x} has no room in {bits} bits")
    return value & ((1 << bits) - 1)


def _fill(content: bytearray, offset: int, value: int, shift: int, bits: int) -> None:
    (word,) = struct.unpack_from("<I", content, offset)
    mask = ((1 << bits) - 1) << shift
    struct.pack_into("<I", content, offset, word & ~mask | value << shift)


def _fill_wide(content: bytearray, offset: int, value: int) -> None:
    """Fill in adr or adrp, whose 21 bits stand in two parts."""
    value = _signed(value, 21)
    _fill(content, offset, value & 3, 29, 2)
    _fill(content, offset, value >> 2, 5, 19)
