from typing import TypeVar

Facts = TypeVar("Facts", bound=tuple[object, ...])

def record_root(hashes: bytes, /) -> bytes: ...
def read_lines(
    body: bytes, template: bytes, facts: type[Facts], ranks: dict[bytes, int], /
) -> list[Facts | bytes]: ...
