"""From a relocatable object to a shared object, so that the system's own loader can map it.

LLVM emits a relocatable object (ELF for x86-64 or AArch64, position-independent), and there is no linker on
the user's machine. A kernel object needs little of one: its sections laid out, distances between them
filled in, and a table of the outside functions that it calls. The file that comes out, where an
address is also the offset in the file:

    read            ELF header, program headers, .dynsym, .dynstr, .hash, .rela.dyn, constants
    read, execute   code, and for each outside function a jump through the table
    read, write     .dynamic, the table of outside addresses, data; zeroed data follows

Anything that is not understood is refused: `UnlinkableError` means that this object is not loaded.
Layouts and numbers: System V ABI, chapters 4 and 5. `relocations.py` has what machines do not have in common.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .relocations import MACHINES, Machine, UnlinkableError

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_PAIR = struct.Struct("<QQ")

_IDENTITY = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_RELOCATABLE, _SHARED = 1, 3

_SYMTAB, _RELA, _NOBITS, _UNWIND = 2, 4, 8, 0x70000001
_WRITE, _ALLOCATE, _EXECUTE, _THREAD_LOCAL = 1, 2, 4, 0x400
_UNDEFINED = 0
_OBJECT = 0x10000  # more than the number of any section of one object
_GLOBAL, _WEAK = 1, 2

_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_READ_FLAG, _WRITE_FLAG, _EXECUTE_FLAG = 4, 2, 1


class _Relocation(NamedTuple):
    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass
class _Section:
    name: str
    flags: int
    alignment: int
    size: int
    content: bytearray  # empty where the section is zeroed memory
    zeroed: bool
    relocations: list[_Relocation] = field(default_factory=list)
    address: int = 0


class _Symbol(NamedTuple):
    name: str
    binding: int
    hidden: bool
    section: int
    value: int
    size: int


def link(*relocatables: bytes) -> bytes:
    """Return a shared object which exports the global functions of objects that do not call one another."""
    sections: dict[int, _Section] = {}
    symbols: list[_Symbol] = []
    outside: dict[str, int] = {}  # name -> the one symbol for what several objects call
    machine = _machine_of(relocatables[0])
    for k, source in enumerate(relocatables):
        if _machine_of(source) != machine:
            raise UnlinkableError("the objects are for different machines")
        own_sections, own_symbols = _parse(source)
        first = k * _OBJECT
        numbers: list[int] = []
        for symbol in own_symbols:
            number = len(symbols)
            if symbol.section == _UNDEFINED:
                number = outside.setdefault(symbol.name, number)
            numbers.append(number)
            if number == len(symbols):
                place = first + symbol.section if symbol.section in own_sections else symbol.section
                symbols.append(symbol._replace(section=place))
        for index, section in own_sections.items():
            sections[first + index] = section
            section.relocations = [r._replace(symbol=numbers[r.symbol]) for r in section.relocations]
    return _Linker(machine, sections, symbols).link()


def _machine_of(source: bytes) -> Machine:
    header = _HEADER.unpack_from(source)
    machine = MACHINES.get(header[2])
    if header[0][:7] != _IDENTITY[:7] or header[1] != _RELOCATABLE or machine is None:
        raise UnlinkableError("not a relocatable ELF object for x86-64 or AArch64")
    return machine


def _parse(source: bytes) -> tuple[dict[int, _Section], list[_Symbol]]:
    header = _HEADER.unpack_from(source)
    offset, count, names_index = header[6], header[12], header[13]
    heads = [_SECTION.unpack_from(source, offset + k * _SECTION.size) for k in range(count)]

    def content(head: tuple[int, ...]) -> bytes:
        return source[head[4] : head[4] + head[5]]

    names = content(heads[names_index])
    sections: dict[int, _Section] = {}
    symbols: list[_Symbol] = []
    for index, head in enumerate(heads):
        kind, flags, size = head[1], head[2], head[5]
        if kind == _SYMTAB:
            symbols = _parse_symbols(content(head), content(heads[head[6]]))
        elif flags & _ALLOCATE and kind != _UNWIND:
            name = _text(names, head[0])
            if flags & _THREAD_LOCAL:
                raise UnlinkableError(f"section {name} is local to threads")
            zeroed = kind == _NOBITS
            kept = bytearray() if zeroed else bytearray(content(head))
            sections[index] = _Section(name, flags, max(head[8], 1), size, kept, zeroed)
    for head in heads:
        if head[1] == _RELA and head[7] in sections:
            sections[head[7]].relocations = [
                _Relocation(at, info & 0xFFFFFFFF, info >> 32, addend)
                for at, info, addend in _RELOCATION.iter_unpack(content(head))
            ]
    return sections, symbols


def _parse_symbols(table: bytes, names: bytes) -> list[_Symbol]:
    return [
        _Symbol(_text(names, name), info >> 4, visibility & 3 != 0, section, value, size)
        for name, info, visibility, section, value, size in _SYMBOL.iter_unpack(table)
    ]


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()


class _Linker:
    """One link, in three steps: gather what is needed, lay it out, fill it in."""

    def __init__(self, machine: Machine, sections: dict[int, _Section], symbols: list[_Symbol]) -> None:
        self.machine = machine
        self.sections = sections
        self.symbols = symbols
        self.exports = [s for s in symbols if self._is_exported(s)]
        self.stubs: dict[int, int] = {}  # symbol -> address of its jump
        self.table: dict[int, int] = {}  # symbol -> address of its place in the table
        self.run_time: list[tuple[int, int, int, int]] = []  # place, kind, symbol, addend
        self._gather()
        self.imports = [k for k in self.table if self._is_import(k)]
        for section in sections.values():
            self.imports += [
                relocation.symbol
                for relocation in section.relocations
                if relocation.kind == machine.loaded.absolute
                and self._is_import(relocation.symbol)
                and relocation.symbol not in self.imports
            ]
        named = [symbols[k].name for k in self.imports] + [s.name for s in self.exports]
        self.names = b"\0" + b"".join(name.encode() + b"\0" for name in named)
        self.dynamic_index = {k: 1 + position for position, k in enumerate(self.imports)}

    def _is_import(self, symbol: int) -> bool:
        return self.symbols[symbol].section == _UNDEFINED

    def _is_exported(self, symbol: _Symbol) -> bool:
        is_public = symbol.binding in (_GLOBAL, _WEAK) and not symbol.hidden
        return is_public and symbol.section in self.sections

    def _gather(self) -> None:
        """Note which symbols want a jump or a place in the table, before there are addresses."""
        for section in self.sections.values():
            for relocation in section.relocations:
                if relocation.kind in self.machine.calls and self._is_import(relocation.symbol):
                    self.stubs[relocation.symbol] = self.table[relocation.symbol] = 0
                elif relocation.kind in self.machine.through_table:
                    self.table[relocation.symbol] = 0

    def link(self) -> bytes:
        self._lay_out()
        for section in self.sections.values():
            for relocation in section.relocations:
                self._relocate(section, relocation)
        loaded = self.machine.loaded
        for symbol, place in self.table.items():
            if self._is_import(symbol):
                self.run_time.append((place, loaded.table, self.dynamic_index[symbol], 0))
            else:
                self.run_time.append((place, loaded.base, 0, self._address(symbol)))
        return self._write()

    def _lay_out(self) -> None:
        """Give every section, jump and place in the table its address."""
        absolute = sum(
            r.kind == self.machine.loaded.absolute for s in self.sections.values() for r in s.relocations
        )
        place = _HEADER.size + 5 * _PROGRAM.size
        symbol_count = 1 + len(self.imports) + len(self.exports)
        self.symbol_address = place
        self.name_address = self.symbol_address + symbol_count * _SYMBOL.size
        self.hash_address = _aligned(self.name_address + len(self.names), 8)
        self.relocation_address = _aligned(self.hash_address + 4 * (3 + symbol_count), 8)
        place = self.relocation_address + (len(self.table) + absolute) * _RELOCATION.size
        self.read_end = self._place(place, lambda s: not s.flags & (_WRITE | _EXECUTE))

        self.code_address = _aligned(self.read_end, self.machine.page_size)
        place = self._place(self.code_address, lambda s: bool(s.flags & _EXECUTE))
        place = _aligned(place, self.machine.stub_size)
        for symbol in self.stubs:
            self.stubs[symbol] = place
            place += self.machine.stub_size
        self.code_end = place

        self.data_address = _aligned(self.code_end, self.machine.page_size)
        place = self.data_address + 16 * _PAIR.size
        for symbol in self.table:
            self.table[symbol] = place
            place += 8
        self.file_end = self._place(place, lambda s: bool(s.flags & _WRITE) and not s.zeroed)
        self.memory_end = self._place(self.file_end, lambda s: bool(s.flags & _WRITE) and s.zeroed)

    def _place(self, address: int, belongs: Callable[[_Section], bool]) -> int:
        for section in self.sections.values():
            if belongs(section):
                section.address = _aligned(address, section.alignment)
                address = section.address + section.size
        return address

    def _address(self, index: int) -> int:
        symbol = self.symbols[index]
        if symbol.section not in self.sections:
            raise UnlinkableError(f"symbol {symbol.name!r} is in no section that is loaded")
        return self.sections[symbol.section].address + symbol.value

    def _relocate(self, section: _Section, relocation: _Relocation) -> None:
        offset, kind, symbol, addend = relocation
        place = section.address + offset
        if kind == self.machine.loaded.absolute:
            self._relocate_absolute(section, place, symbol, addend)
            return
        if kind in self.machine.through_table:
            target = self.table[symbol]
        elif kind in self.machine.calls and symbol in self.stubs:
            target = self.stubs[symbol]
        else:
            target = self._address(symbol)
        self.machine.write(section.content, offset, kind, target + addend, place)

    def _relocate_absolute(self, section: _Section, place: int, symbol: int, addend: int) -> None:
        if not section.flags & _WRITE:
            raise UnlinkableError(f"section {section.name} is read-only but holds an address")
        if self._is_import(symbol):
            self.run_time.append((place, self.machine.loaded.absolute, self.dynamic_index[symbol], addend))
        else:
            self.run_time.append((place, self.machine.loaded.base, 0, self._address(symbol) + addend))

    def _write(self) -> bytes:
        image = bytearray(self.file_end)

        def put(address: int, content: bytes | bytearray) -> None:
            image[address : address + len(content)] = content

        put(0, self._headers())
        put(self.symbol_address, self._dynamic_symbols())
        put(self.name_address, self.names)
        put(self.hash_address, self._hash_table())
        put(self.relocation_address, b"".join(map(self._packed, self.run_time)))
        put(self.data_address, self._dynamic())
        for symbol, place in self.stubs.items():
            put(place, self.machine.stub(place, self.table[symbol]))
        for section in self.sections.values():
            if not section.zeroed:
                put(section.address, section.content)
        return bytes(image)

    @staticmethod
    def _packed(run_time: tuple[int, int, int, int]) -> bytes:
        place, kind, symbol, addend = run_time
        return _RELOCATION.pack(place, symbol << 32 | kind, addend)

    def _headers(self) -> bytes:
        def segment(kind: int, flags: int, start: int, end: int, memory_end: int) -> bytes:
            sizes = (end - start, memory_end - start)
            alignment = self.machine.page_size if kind == _LOAD else 8
            return _PROGRAM.pack(kind, flags, start, start, start, *sizes, alignment)

        code_flags, data_flags = _READ_FLAG | _EXECUTE_FLAG, _READ_FLAG | _WRITE_FLAG
        dynamic_end = self.data_address + 16 * _PAIR.size
        segments = [
            segment(_LOAD, _READ_FLAG, 0, self.read_end, self.read_end),
            segment(_LOAD, code_flags, self.code_address, self.code_end, self.code_end),
            segment(_LOAD, data_flags, self.data_address, self.file_end, self.memory_end),
            segment(_DYNAMIC, data_flags, self.data_address, dynamic_end, dynamic_end),
            segment(_STACK, data_flags, 0, 0, 0),
        ]
        counts = (_HEADER.size, _PROGRAM.size, len(segments), _SECTION.size, 0, 0)
        header = _HEADER.pack(_IDENTITY, _SHARED, self.machine.number, 1, 0, _HEADER.size, 0, 0, *counts)
        return header + b"".join(segments)

    def _dynamic_symbols(self) -> bytes:
        packed = [bytes(_SYMBOL.size)]
        name_offset = 1
        for index in self.imports:
            name = self.symbols[index].name
            packed.append(_SYMBOL.pack(name_offset, _GLOBAL << 4, 0, _UNDEFINED, 0, 0))
            name_offset += len(name.encode()) + 1
        for symbol in self.exports:
            address = self.sections[symbol.section].address + symbol.value
            function = _GLOBAL << 4 | 2
            # The section's number only has to be neither undefined nor reserved.
            packed.append(_SYMBOL.pack(name_offset, function, 0, 1, address, symbol.size))
            name_offset += len(symbol.name.encode()) + 1
        return b"".join(packed)

    def _hash_table(self) -> bytes:
        """Write a table of one bucket: all symbols in one chain, for there are few."""
        count = 1 + len(self.imports) + len(self.exports)
        chain = [0, *range(2, count), 0][:count]
        return struct.pack(f"<{3 + count}I", 1, count, 1 if count > 1 else 0, *chain)

    def _dynamic(self) -> bytes:
        entries = [
            (4, self.hash_address),  # DT_HASH
            (5, self.name_address),  # DT_STRTAB
            (6, self.symbol_address),  # DT_SYMTAB
            (10, len(self.names)),  # DT_STRSZ
            (11, _SYMBOL.size),  # DT_SYMENT
            (7, self.relocation_address),  # DT_RELA
            (8, len(self.run_time) * _RELOCATION.size),  # DT_RELASZ
            (9, _RELOCATION.size),  # DT_RELAENT
            (30, 8),  # DT_FLAGS: bind now
            (0x6FFFFFFB, 1),  # DT_FLAGS_1: bind now
            (0, 0),  # DT_NULL
        ]
        return b"".join(_PAIR.pack(*entry) for entry in entries)


def _aligned(address: int, alignment: int) -> int:
    return (address + alignment - 1) // alignment * alignment
