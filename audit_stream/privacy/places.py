"""Where personal data lives: the one table behind `audit-stream privacy map`, its page, and the
test that plants identities and looks for them everywhere else.

A new topic, prefix of objects, folder or output needs its row here: the test fails on what no row
has. "A person" is a recipient; staff are named where they occur.
"""

from __future__ import annotations

from audit_stream.privacy.place import (
    At,
    Form,
    Group,
    Place,
    Where,
    archive,
    beyond,
    files,
    kinds,
    said,
    settings,
    subjects,
    topics,
)

_TOPIC_RETENTION = "the topic's retention, below"
_BY_RETENTION = "nothing takes a record out: gone when the topic's retention is over"
_WORM = "as long as the store's policy holds it (`audit-stream archive check`)"
_NOTHING = "nothing to erase"
_OPERATOR = "operators of the process"
_CLEAR_FIELDS = (
    "ids of message, carrier, workflow and agent, statuses, times. Platform, carrier and employer "
    "may map such an id to a person"
)

PLACES: tuple[Place, ...] = (
    Place(
        name="raw-topics", group=Group.TOPICS, form=Form.CLEAR, at=kinds("raw"),
        holds="events as the platform sent them: customer id and address of each recipient",
        readers="platform, workers, operators (ACLs of topics/*.yaml)",
        kept=_TOPIC_RETENTION, erasure=_BY_RETENTION,
    ),
    Place(
        name="rekeyed-topics", group=Group.TOPICS, form=Form.CLEAR, at=kinds("rekeyed"),
        holds="the same bytes again, of topics in AUDIT_REKEY_TOPICS",
        readers="workers, operators", kept=_TOPIC_RETENTION, erasure=_BY_RETENTION,
    ),
    Place(
        name="quarantine", group=Group.TOPICS, form=Form.CLEAR, at=topics("audit-quarantine"),
        holds="events that were not understood, unchanged; also those with an address or customer "
        "id in the wrong field",
        readers="operators", kept=_TOPIC_RETENTION, erasure=_BY_RETENTION,
    ),
    Place(
        name="undeliverable", group=Group.TOPICS, form=Form.NONE, at=topics("audit-undeliverable"),
        holds="places of records in the archive, their keys (message ids), and what a receiver "
        "answered, one line of it: the record's personal values, if it was sent any, are taken out",
        readers="operators", kept=_TOPIC_RETENTION, erasure=_NOTHING,
    ),
    Place(
        name="changelog", group=Group.TOPICS, form=Form.PSEUDONYMOUS, at=kinds("changelog"),
        holds="tenant and message id of each message, its rank and position; no field of a person",
        readers="workers, operators", kept="until replaced (compacted)",
        erasure="nothing: a message id leads to a person only through platform or carrier",
    ),
    Place(
        name="own-topics", group=Group.TOPICS, form=Form.NONE,
        at=topics("audit-segments", "audit-ops-events", "audit-redactions"),
        holds="names of segments, alarms, certificates of erasure",
        readers="workers, notaries, gateways, operators", kept=_TOPIC_RETENTION, erasure=_NOTHING,
    ),
    Place(
        name="brokers-own-topics", group=Group.TOPICS, form=Form.NONE,
        at=topics("__consumer_offsets", "__transaction_state"),
        holds="positions, members and transactions, by the names of groups, topics and instances",
        readers="who runs the brokers", kept="until replaced (compacted)", erasure=_NOTHING,
    ),
    Place(
        name="records", group=Group.ARCHIVE, form=Form.ENCRYPTED, at=archive("segments/"),
        holds="customer id and address, encrypted under a key of the person and the year (`pii`), "
        f"and salted digests of them (`_sd`); in clear {_CLEAR_FIELDS}",
        readers="auditors, gateways, workers; the fields only who has a keyring, too",
        kept=_WORM,
        erasure="the person's key is destroyed: `pii` can be opened, and `_sd` be tried, by nobody",
    ),
    Place(
        name="access-journals", group=Group.ARCHIVE, form=Form.PSEUDONYMOUS, at=archive("access/"),
        holds="who read what and when: id of a token or JWT subject (staff), message ids. A "
        "look-up by customer leaves no customer id",
        readers="auditors, gateways", kept=_WORM, erasure="nothing: no identifier of a recipient",
    ),
    Place(
        name="registers", group=Group.ARCHIVE, form=Form.NONE,
        at=archive("redactions/", "holds/", "disposals/"),
        holds="certificates of erasure, holds, disposals: counts, reasons, commitments; no "
        "identifier, no tag, no list of records",
        readers="auditors, gateways", kept=_WORM, erasure=_NOTHING,
    ),
    Place(
        name="archive-log", group=Group.ARCHIVE, form=Form.NONE,
        at=archive("log/", "tile/", "anchor/", "streams/", "maps/", "posture/"),
        holds="hashes, checkpoints and their anchors, streams, status maps, the canary",
        readers="auditors, anyone it is given to", kept=_WORM, erasure=_NOTHING,
    ),
    Place(
        name="subject-objects", group=Group.SUBJECTS, form=Form.PSEUDONYMOUS,
        at=subjects("subjects/"),
        holds="for each record its person's tag (a keyed hash), encrypted: what links the records "
        "of one person",
        readers="workers and gateways, with the index key; privacy officers",
        kept="as long as the records, and no versions or deleted copies",
        erasure="the person's tags are overwritten with zeros",
    ),
    Place(
        name="private-objects", group=Group.SUBJECTS, form=Form.PSEUDONYMOUS,
        at=subjects("private/"),
        holds="requests for erasure, holds by customer, the batch at work, which certificate is "
        "whose: by tag, never by identity; which records receivers are being told to erase; who "
        "has loaded the keyring, and which receiver was sent which fields. Encrypted",
        readers="keeper and gateways, with the index key",
        kept="closed requests and the map of certificates as long as certificates must be found; "
        "openings for 30 days; the rest until done",
        erasure="the tags go; a keyed hash of each stays, by which who knows the person finds the "
        "certificate",
    ),
    Place(
        name="worker-state", group=Group.PROCESSES, form=Form.PSEUDONYMOUS,
        at=settings("state_dir"),
        holds="as the changelog, also for `replay` and `backfill`; the error code of the last end",
        readers=_OPERATOR, kept="until rebuilt; it can be deleted",
        erasure="nothing: as the changelog",
    ),
    Place(
        name="delivery-positions", group=Group.PROCESSES, form=Form.NONE,
        at=settings("delivery_positions"),
        holds="how far a receiver was sent records: topics, partitions, offsets, hashes; and how "
        "it answered probes",
        readers=_OPERATOR, kept="for ever: without it everything is sent again",
        erasure=_NOTHING,
    ),
    Place(
        name="index", group=Group.PROCESSES, form=Form.PSEUDONYMOUS, at=settings("index_dir"),
        holds="keyed hashes of message and carrier ids, tags of persons; in clear tenants, "
        "workflow ids and error codes, with counts",
        readers=_OPERATOR, kept="until rebuilt; it can be deleted",
        erasure="the person's tags go from it; `index rebuild` makes one that has none of them",
    ),
    Place(
        name="journal-folder", group=Group.PROCESSES, form=Form.PSEUDONYMOUS,
        at=settings("journal_dir"),
        holds="as the access journals, until sealed into the archive",
        readers=_OPERATOR, kept="minutes (AUDIT_JOURNAL_SEAL_SECONDS) after it was sealed",
        erasure="nothing: no identifier of a recipient",
    ),
    Place(
        name="callers", group=Group.PROCESSES, form=Form.NONE,
        at=settings("gateway_tokens", "answer_keys"),
        holds="hashes of tokens with tenants and scopes; keys that sign answers",
        readers=_OPERATOR, kept="until removed", erasure=_NOTHING,
    ),
    Place(
        name="memory", group=Group.PROCESSES, form=Form.CLEAR, at=said("memory"),
        holds="what is worked on: fetched events, answers being made, keys of persons in caches",
        readers="who may read the process",
        kept="until archived or answered; caches until the next epoch of the keyring",
        erasure="each worker, gateway and deliverer drops its caches before an erasure counts as "
        "done",
    ),
    Place(
        name="keyring", group=Group.KEYS, form=Form.KEYS, at=settings("keyring"),
        holds="the tree of keys (cover, pepper), keys of years, index key: with it and the archive "
        "everyone who is not erased can be read, and a known identity be turned into its tag",
        readers="workers, gateways, deliverers of personal fields (by role), the keeper",
        kept="the newest epoch only", erasure="the person's branch is cut out; older epochs go",
    ),
    Place(
        name="keyring-backups", group=Group.KEYS, form=Form.KEYS, at=files("keyring backup"),
        holds="a keyring of one epoch, encrypted under a passphrase",
        readers="who has file and passphrase", kept="until destroyed by hand",
        erasure="backups of older epochs must be destroyed by hand: they open the erased, but "
        "where a key vault wraps the cover: then they open nobody once the epoch's key is purged",
    ),
    Place(
        name="answers", group=Group.SPOKEN, form=Form.CLEAR,
        at=said("answer", "page", "show", "demo"),
        holds="the customer id, and for who may export the address, of the message or customer "
        "asked for; what its asker typed, again",
        readers="who asked, with the right to", kept="what the asker keeps; `no-store`",
        erasure="none of an erased person is given from then on; copies are the asker's",
    ),
    Place(
        name="refusals", group=Group.SPOKEN, form=Form.NONE, at=said("refusal"),
        holds="why nothing was answered: at most what its asker sent, to nobody else",
        readers="who asked", kept="what the asker keeps", erasure=_NOTHING,
    ),
    Place(
        name="logs", group=Group.SPOKEN, form=Form.NONE, at=said("log"),
        holds="what processes do, ids of callers; no record, no query, no text of an error that "
        "is not ours, since it could hold a record",
        readers=_OPERATOR, kept="as your collector keeps it", erasure=_NOTHING,
    ),
    Place(
        name="metrics-and-alarms", group=Group.SPOKEN, form=Form.NONE,
        at=said("metrics", "health", "alarms", "webhook"),
        holds="counts, topics, partitions, names of segments",
        readers=_OPERATOR, kept="as your monitoring keeps it", erasure=_NOTHING,
    ),
    Place(
        name="reports", group=Group.SPOKEN, form=Form.NONE,
        at=(*said("command", "report"), *files("proof")),
        holds="what commands print, save `show`; reports, their CSV, proofs of completeness, "
        "metrics of `reconcile`: counts, positions, hashes",
        readers="who ran it", kept="what its reader keeps", erasure=_NOTHING,
    ),
    Place(
        name="bundles", group=Group.FILES, form=Form.CLEAR, at=files("evidence bundle"),
        holds="evidence bundles: the personal fields that could be opened for their request",
        readers="whom they were given to", kept="as the receiver keeps it",
        erasure="none: a copy was handed over; tell the receiver",
    ),
    Place(
        name="imported-files", group=Group.FILES, form=Form.CLEAR, at=files("import"),
        holds="events in files that `import` read",
        readers="their owner", kept="as their owner keeps it; delete them once imported",
        erasure="none: they are the owner's",
    ),
    Place(
        name="opening", group=Group.FILES, form=Form.PSEUDONYMOUS, at=files("opening"),
        holds="what opens a redaction certificate's commitment: the integrity hashes of one "
        "erased person's records, and 32 random bytes; no field of a person",
        readers="who filed the request", kept="as the requester keeps it; the archive's copy goes "
        "when it is handed out, or after 30 days",
        erasure="none: it links records, and to nobody; whoever keeps it beside the request can "
        "tell whose they were",
    ),
    Place(
        name="positions", group=Group.FILES, form=Form.PSEUDONYMOUS, at=files("position"),
        holds="how far a file was imported, its size, and a salted hash of its first 64 KiB: who "
        "can guess all of them can confirm it",
        readers="their owner", kept="as their owner keeps it",
        erasure="none: delete it with the imported file",
    ),
    Place(
        name="demo", group=Group.FILES, form=Form.CLEAR, at=files("demo folder", "embedded broker"),
        holds="a broker's own files with raw topics; in a demo made-up persons",
        readers="who runs it", kept="until the next demo", erasure="delete the folder",
    ),
    Place(
        name="broker-disks", group=Group.BEYOND, form=Form.CLEAR, at=beyond("broker disks"),
        holds="raw, rekeyed and quarantine topics on disk, in tiers, mirrors and backups",
        readers="who runs the brokers", kept="the topics' retention, and that of each copy",
        erasure="none of ours: include them in your procedure",
    ),
    Place(
        name="dumps-and-swap", group=Group.BEYOND, form=Form.CLEAR, at=beyond("dumps and swap"),
        holds="memory of workers and gateways, keys included, if the machine writes it to disk",
        readers="who runs the machine", kept="until overwritten",
        erasure="none of ours: switch core dumps and swap off, or encrypt them",
    ),
    Place(
        name="copies-of-disks", group=Group.BEYOND, form=Form.KEYS, at=beyond("copies of disks"),
        holds="keyring and subject objects of before, in snapshots, versions, soft-deleted copies",
        readers="who runs the storage", kept="as set there",
        erasure="none of ours: keep none of those two places; a cover that a key vault wraps is "
        "closed in them, too, once its epoch's key is purged",
    ),
    Place(
        name="in-front", group=Group.BEYOND, form=Form.CLEAR, at=beyond("in front"),
        holds="query strings in logs of proxies, if callers put a customer id into a URL",
        readers="who runs them", kept="as set there",
        erasure="none of ours: have callers send ids in the body (search) or switch such logs off",
    ),
    Place(
        name="receivers", group=Group.BEYOND, form=Form.CLEAR, at=beyond("receivers"),
        holds="records posted to AUDIT_DELIVERY_URL: their clear fields, and the personal ones "
        "that AUDIT_DELIVERY_FIELDS names; and lists of records whose fields it is to erase",
        readers="theirs", kept="theirs",
        erasure="it is told which, and the certificate says what it acknowledged: to do so is "
        "theirs, and to forget the list",
    ),
    Place(
        name="others", group=Group.BEYOND, form=Form.CLEAR, at=beyond("others"),
        holds="platform, CRM, carriers and whoever was sent records: they know who a message id is",
        readers="theirs", kept="theirs", erasure="theirs: the request must reach them, too",
    ),
)  # fmt: skip
_PREFIXED = frozenset({Where.ARCHIVE, Where.SUBJECTS})
_BY_LOCATION = {at: place for place in PLACES for at in place.at}


def place_at(where: Where, name: str) -> Place | None:
    """The place of something found there; objects by their name. None: the map lacks it."""
    if where in _PREFIXED:
        name = f"{name.partition('/')[0]}/"
    return _BY_LOCATION.get(At(where, name))
