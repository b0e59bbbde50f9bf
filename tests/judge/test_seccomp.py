"""The filter's instructions, run by an interpreter of our own: so both architectures are tested on either machine."""

import struct

import pytest

from linewise.judge.seccomp import ALLOW, KILL_PROCESS, REFUSE, UNKNOWN, Instruction, assemble
from linewise.judge.syscalls import ALLOWED, CHECKED, MACHINES, MISSING

OWN_ID = 4242


def run(code: list[Instruction], number: int, arguments: tuple[int, ...] = (), audit: int = 0) -> int:
    """What the kernel would return for a system call."""
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *(0,) * 6)][:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *words)
    value, place = 0, 0
    while True:
        operation, yes, no, operand = code[place]
        place += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return operand
        elif operation == 0x05:
            place += operand
        else:
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[operation]
            place += yes if holds else no


@pytest.mark.parametrize("name", MACHINES)
def test_every_call_number_gets_its_decision(name: str) -> None:
    machine = MACHINES[name]
    code, _ = assemble(machine)
    allowed = {numbers[machine.column] for numbers in ALLOWED.values()}
    checked = {numbers[machine.column] for numbers in CHECKED.values()}
    missing = {numbers[machine.column] for numbers in MISSING.values()}
    for number in range(600):
        if number in checked:
            continue
        expected = ALLOW if number in allowed else UNKNOWN if number in missing or number >= 450 else REFUSE
        assert run(code, number, audit=machine.audit) == expected, number
    for number in (0x40000000, 0x40000027, 0xFFFFFFFF):
        assert run(code, number, audit=machine.audit) == REFUSE
    for other in (0x40000003, 0x40000028, 0):  # i386, 32-bit ARM
        assert run(code, 39, audit=other) == KILL_PROCESS
    assert len(code) < 4096


CASES = {
    "clone": [((0x3D0F00,), True), ((17,), False), ((0x10000000 | 0x3D0F00,), False), ((0x4000 | 17,), False)],
    "kill": [((OWN_ID, 9), True), ((0, 9), False), ((-1, 9), False), ((1, 9), False), ((-OWN_ID, 9), False)],
    "tgkill": [((OWN_ID, 1, 9), True), ((1, 1, 9), False)],
    "tkill": [((OWN_ID, 9), True), ((1, 9), False)],
    "prlimit64": [((0, 7), True), ((OWN_ID, 7), True), ((1, 7), False)],
    "socketpair": [((1, 1), True), ((2, 1), False), ((40, 1), False)],
    "sendto": [((3, 1, 1, 0, 0, 0), True), ((3, 1, 1, 0, 0x1000, 9), False), ((3, 1, 1, 0, 1 << 32, 9), False)],
    "fcntl": [
        ((3, 4), True),
        ((3, 1030), True),
        ((3, 8), False),
        ((3, 10), False),
        ((3, 15), False),
        ((3, 1024), False),
    ],
    "ioctl": [((0, 0x5401), True), ((0, 0x5412), False), ((0, 0x5452), False), ((0, 0x8901), False)],
    "prctl": [((15,), True), ((1,), False), ((22,), False), ((38,), False)],
}


@pytest.mark.parametrize("name", MACHINES)
def test_arguments_decide_about_some_calls(name: str) -> None:
    assert CASES.keys() == CHECKED.keys()
    machine = MACHINES[name]
    code, places = assemble(machine)
    for place in places:
        operation, yes, no, _ = code[place]
        code[place] = (operation, yes, no, OWN_ID)
    for call, cases in CASES.items():
        number = CHECKED[call][machine.column]
        assert number is not None
        for arguments, allowed in cases:
            found = run(code, number, arguments, machine.audit)
            assert found == (ALLOW if allowed else REFUSE), (call, arguments)
