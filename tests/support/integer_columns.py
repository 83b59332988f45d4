"""Integer columns, byte by byte: what their headers and numbers are written like."""


def zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def header(codec: int, start: int, step: int, unit: int) -> bytes:
    return bytes([codec]) + varint(zigzag(start)) + varint(zigzag(step)) + varint(unit)
