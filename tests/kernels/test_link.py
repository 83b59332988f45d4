"""The small linker: what it makes, the system's loader takes; what it does not know, it refuses."""

import ctypes
from pathlib import Path

import pytest

from smartdata_ts.kernels.compiler import native
from smartdata_ts.kernels.compiler.link import UnlinkableError, link

pytestmark = pytest.mark.skipif(not native.is_supported(), reason="this system's objects are others")

# A call to the C library, a constant table of addresses, zeroed and preset data, a call within.
_CODE = """
target triple = "x86_64-unknown-linux-gnu"

@zeroed = internal global i64 0
@preset = internal global [2 x i64] [i64 7, i64 8]
@table = internal constant [2 x ptr] [ptr @twice, ptr @labs]
@outside = external global ptr

declare i64 @labs(i64)
declare double @llvm.log.f64(double)

define internal i64 @twice(i64 %x) noinline {
  %y = mul i64 %x, 2
  ret i64 %y
}

define i64 @through_table(i64 %which, i64 %x) {
  %place = getelementptr [2 x ptr], ptr @table, i64 0, i64 %which
  %function = load volatile ptr, ptr %place
  %y = call i64 %function(i64 %x)
  ret i64 %y
}

define i64 @calls(i64 %x) {
  %y = call i64 @labs(i64 %x)
  %z = call i64 @twice(i64 %y)
  ret i64 %z
}

define i64 @count() {
  %old = load volatile i64, ptr @zeroed
  %new = add i64 %old, 1
  store volatile i64 %new, ptr @zeroed
  %place = getelementptr [2 x i64], ptr @preset, i64 0, i64 1
  %preset = load volatile i64, ptr %place
  %sum = add i64 %new, %preset
  ret i64 %sum
}

define double @third(double %x) {
  %y = fdiv double %x, 3.0
  ret double %y
}

define i64 @pick(i64 %x) {
  switch i64 %x, label %other [ i64 0, label %a  i64 1, label %b  i64 2, label %c
                                i64 3, label %d  i64 4, label %e ]
a:
  %ya = call i64 @labs(i64 5)
  ret i64 %ya
b:
  %yb = call i64 @twice(i64 5)
  ret i64 %yb
c:
  store volatile i64 0, ptr @zeroed
  ret i64 2
d:
  store volatile i64 1, ptr @zeroed
  ret i64 30
e:
  store volatile i64 2, ptr @zeroed
  ret i64 400
other:
  ret i64 -1
}

define ptr @address() {
  ret ptr @PyExc_TypeError
}

@PyExc_TypeError = external global ptr
"""


@pytest.fixture(scope="module")
def relocatable() -> bytes:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="default")
    return bytes(machine.emit_object(llvm.parse_assembly(_CODE)))


@pytest.fixture
def library(relocatable: bytes, tmp_path: Path) -> ctypes.CDLL:
    path = tmp_path / "linked.so"
    path.write_bytes(link(relocatable))
    return ctypes.CDLL(str(path))


def test_calls_within_and_outside_arrive(library: ctypes.CDLL) -> None:
    assert library.calls(-21) == 42


def test_a_table_of_addresses_is_filled_in_at_load(library: ctypes.CDLL) -> None:
    assert library.through_table(0, -4) == -8
    assert library.through_table(1, -4) == 4


def test_zeroed_and_preset_data_are_there_and_can_be_written(library: ctypes.CDLL) -> None:
    assert [library.count() for _ in range(3)] == [9, 10, 11]


def test_constants_are_reached(library: ctypes.CDLL) -> None:
    library.third.restype = ctypes.c_double
    assert library.third(ctypes.c_double(1.5)) == 0.5


def test_a_jump_table_leads_where_it_should(library: ctypes.CDLL) -> None:
    assert [library.pick(k) for k in range(6)] == [5, 10, 2, 30, 400, -1]


def test_an_outside_variable_is_found(library: ctypes.CDLL) -> None:
    library.address.restype = ctypes.c_void_p
    place = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyExc_TypeError")
    assert library.address() == ctypes.addressof(place)


def test_only_the_functions_for_outside_are_seen(library: ctypes.CDLL) -> None:
    assert not hasattr(library, "twice")
    assert not hasattr(library, "zeroed")


def test_several_objects_become_one_and_share_what_is_outside(tmp_path: Path) -> None:
    """Each has a call within of the same name, a preset number of its own, and calls the same outside."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="default")
    code = """
@own = internal global i64 {number}
declare i64 @labs(i64)
define internal i64 @within(i64 %x) noinline {{
  %own = load volatile i64, ptr @own
  %y = add i64 %x, %own
  ret i64 %y
}}
define i64 @{name}(i64 %x) {{
  %y = call i64 @labs(i64 %x)
  %z = call i64 @within(i64 %y)
  ret i64 %z
}}
"""
    objects = [
        bytes(machine.emit_object(llvm.parse_assembly(code.format(name=name, number=number))))
        for name, number in (("first", 100), ("second", 200), ("third", 300))
    ]
    path = tmp_path / "linked.so"
    path.write_bytes(link(*objects))
    assert path.read_bytes().count(b"\0labs\0") == 1
    library = ctypes.CDLL(str(path))
    assert [library[name](-5) for name in ("first", "second", "third")] == [105, 205, 305]
    assert not hasattr(library, "within")


def test_linking_is_reproducible(relocatable: bytes) -> None:
    assert link(relocatable) == link(relocatable)


def test_what_is_no_object_for_this_machine_is_refused(relocatable: bytes) -> None:
    shared = link(relocatable)
    for wrong in (shared, relocatable[:4] + b"\x01" + relocatable[5:], bytes(64)):
        with pytest.raises(UnlinkableError, match="not a relocatable"):
            link(wrong)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("@own = thread_local global i64 3", "local to threads"),
        ("@big = common global i64 0", "in no section"),
    ],
)
def test_what_it_does_not_know_is_refused(code: str, reason: str) -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="default")
    name = code.split(maxsplit=1)[0]
    user = f"define i64 @use() {{ %x = load i64, ptr {name} \n ret i64 %x }}"
    content = machine.emit_object(llvm.parse_assembly(f"{code}\n{user}"))
    with pytest.raises(UnlinkableError, match=reason):
        link(bytes(content))
