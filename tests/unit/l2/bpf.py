"""What the kernel does with a classic BPF program: an interpreter for the few instructions that our filters use."""

from netlb.l2.filters import Program

PACKET_TYPE = 0xFFFFF000 + 4
HOST, OTHER_HOST = 0, 3


def passes(program: Program, frame: bytes, packet_type: int = HOST) -> bool:
    """Run the program; loads beyond the end of the frame reject it, as in the kernel."""
    accumulator = at = 0
    while True:
        code, if_true, if_false, operand = program[at]
        assert 0 <= if_true < 256
        assert 0 <= if_false < 256
        at += 1
        match code:
            case 0x20 | 0x28 | 0x30 if operand == PACKET_TYPE:
                accumulator = packet_type
            case 0x20 | 0x28 | 0x30:
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                if operand + size > len(frame):
                    return False
                accumulator = int.from_bytes(frame[operand : operand + size], "big")
            case 0x80:
                accumulator = len(frame)
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand > 0
            case _:
                raise AssertionError(f"instruction {code:#x}")
