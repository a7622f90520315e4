from types import NotImplementedType

from audit_stream.flatten.event import Event

def read_common(
    value: bytes | None, answers: dict[str | tuple[str, str], str | None], type_: type[Event], /
) -> Event | NotImplementedType | None: ...
