"""How the certificates in a bundle of what was erased are forged."""

from __future__ import annotations

import json
import random
import re
from base64 import b64decode, b64encode

from audit_stream.evidence.canonical import canonical
from tests.campaigns.tampering.forgeries import Good
from tests.campaigns.tampering.insiders import STRANGER
from tests.support import tampering
from tests.support.resealed import SIGNER
from tests.support.tampering import Files, flipped, remade


def _certificates(good: Good) -> tuple[Files, list[str]]:
    """The files, and the certificates among them, oldest first, without their endings."""
    files = tampering.unpack(good.erased)
    del files["manifest.json"]
    names = [
        name[:-5] for name in files if re.fullmatch(r"certificates/redactions\.\d+\.json", name)
    ]
    assert len(names) > 2
    return files, sorted(names, key=lambda name: int(name.rpartition(".")[2]))


def edited(good: Good, chance: random.Random, turn: int) -> bytes:
    """One member; its signature as it was."""
    files, names = _certificates(good)
    name = f"{chance.choice(names)}.json"
    line, signature, _ = files[name].split(b"\n")
    ways = [new for _, new in tampering.changes(json.loads(line))]
    put = canonical(ways[turn % len(ways)]) + b"\n" + signature + b"\n"
    return remade(files | {name: put})


def proof_edited(good: Good, chance: random.Random, _: int) -> bytes:
    """One bit of its proof."""
    files, names = _certificates(good)
    name = f"{chance.choice(names)}.tlog-proof"
    return remade(files | {name: flipped(files[name], chance)})


def signed_anew(good: Good, chance: random.Random, turn: int) -> bytes:
    """Another number of records, signed by the archive's own key, or by one that is put in."""
    files, names = _certificates(good)
    name = f"{chance.choice(names)}.json"
    signer = (STRANGER, SIGNER)[turn % 2]
    said = json.loads(files[name].split(b"\n")[0])
    line = canonical(said | {"count": said["count"] + 1, "kid": signer.kid})
    put = {name: line + b"\n" + signer.signature_line(line) + b"\n"}
    if signer is STRANGER:
        pem = next(each for each in files if each.startswith("keys/segment-"))
        spki = _unpem(files[pem])[:12] + STRANGER.public
        text = b64encode(spki)
        put[f"keys/segment-{signer.kid}.pem"] = (
            b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"
        )
    return remade(files | put)


def _unpem(pem: bytes) -> bytes:
    """What a PEM file holds."""
    return b64decode(b"".join(pem.split(b"\n")[1:-2]))


def swapped(good: Good, chance: random.Random, _: int) -> bytes:
    """Two of them, each under the other's name, with their proofs."""
    files, names = _certificates(good)
    one, two = chance.sample(names, 2)
    ends = (".json", ".tlog-proof")
    put = {f"{a}{end}": files[f"{b}{end}"] for a, b in ((one, two), (two, one)) for end in ends}
    return remade(files | put)


def left_out(good: Good, chance: random.Random, _: int) -> bytes:
    """One between others, with its proof."""
    files, names = _certificates(good)
    gone = chance.choice(names[1:-1])
    return remade({name: data for name, data in files.items() if not name.startswith(f"{gone}.")})


def end_left_out(good: Good, chance: random.Random, turn: int) -> bytes:
    """The newest or the oldest, with its proof."""
    del chance
    files, names = _certificates(good)
    gone = names[-(turn % 2)]
    return remade({name: data for name, data in files.items() if not name.startswith(f"{gone}.")})
