"""The metric catalogue as data; docs/reference/metrics.md is generated from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "audit_stream_"
RECONCILED_PREFIX = "audit_reconciled_"
Kind = Literal["counter", "gauge", "histogram"]
_DELAY = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 21600, 86400)
_SHORT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30)
_RESTORE = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400)
_BYTES = (1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 23, 1 << 24)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: name without prefix, kind, what it means, label names, histogram buckets."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


CATALOGUE = (
    Metric("records_total", "counter", "Offsets judged, by disposition.", ("topic", "disposition")),
    Metric("regressions_total", "counter", "Statuses below the one held, by held and came.",
           ("topic", "held", "came")),
    Metric("quarantined_total", "counter", "Records quarantined, by reason.", ("topic", "reason")),
    Metric("quarantine_oldest_timestamp_seconds", "gauge",
           "Kafka time of the oldest record this process quarantined since it started.",
           ("topic",)),
    Metric("records_archived_total", "counter", "Records durably stored.", ("topic",)),
    Metric("archive_delay_seconds", "histogram",
           "Broker timestamp to stored, of each segment's first and last record.", ("topic",),
           _DELAY),
    Metric("unarchived_offsets", "gauge", "Broker end minus archived offset.",
           ("topic", "partition")),
    Metric("last_progress_timestamp_seconds", "gauge",
           "When the archived offset last moved, or there was last nothing to archive.",
           ("topic", "partition")),
    Metric("partition_stopped", "gauge",
           "1 while a partition of this worker is stopped until an operator acts.",
           ("topic", "partition")),
    Metric("topic_partitions", "gauge", "Partitions of a topic: each must be some worker's.",
           ("topic",)),
    Metric("retention_seconds", "gauge", "Retention of a raw topic, where it has one.",
           ("topic",)),
    Metric("retention_headroom_seconds", "gauge",
           "Raw retention minus the age of the oldest unarchived record.", ("topic", "partition")),
    Metric("store_put_seconds", "histogram", "Time of a segment put, retries included.",
           ("outcome",), _SHORT),
    Metric("segment_bytes", "histogram", "Stored size of a segment.", (), _BYTES),
    Metric("seal_seconds", "histogram", "Time to seal a segment.", (), _SHORT),
    Metric("breaker_open", "gauge", "1 while the circuit breaker is not closed.", ("target",)),
    Metric("secondary_lag_seconds", "gauge",
           "Age of the oldest object that is not on the second store yet."),
    Metric("secondary_pending_objects", "gauge", "Objects that wait to be copied there."),
    Metric("secondary_lag_bound_seconds", "gauge",
           "The age at which nothing more is stored (AUDIT_SECONDARY_LAG_SECONDS); 0: no second "
           "store."),
    Metric("secondary_missing_objects", "gauge",
           "Objects the last sweep found on one store alone and could not copy."),
    Metric("secondary_differing_objects", "gauge",
           "Objects that are not the same on both stores, as far as they were compared."),
    Metric("secondary_copied_total", "counter", "Objects that sweeps copied."),
    Metric("secondary_swept_timestamp_seconds", "gauge", "When the last sweep went to its end."),
    Metric("rebalances_total", "counter", "Assignments received."),
    Metric("resyncs_total", "counter", "Lanes opened from the archive, by reason.", ("reason",)),
    Metric("forks_total", "counter", "Segments with another history under a known name.",
           ("topic",)),
    Metric("lost_offsets_total", "counter",
           "Offsets retention deleted before they were archived, or copied to a rekeyed topic.",
           ("topic",)),
    Metric("misplaced_samples_total", "counter",
           "Sampled records in a partition their key does not belong to.", ("topic",)),
    Metric("rekeyed_total", "counter", "Records copied to a rekeyed topic.", ("topic",)),
    Metric("table_keys", "gauge", "Estimated keys in the precedence table.", ("partition",)),
    Metric("block_cache_bytes", "gauge",
           "What the cache of the table (a worker) or of the index (a gateway) holds; it fills."),
    Metric("restore_remaining_records", "gauge", "Changelog records still to be restored."),
    Metric("restore_running_seconds", "gauge",
           "How long assignment and restore have been running; 0 once they are done."),
    Metric("restore_seconds", "histogram", "Duration of assignment and restore.", (), _RESTORE),
    Metric("overlay_bytes", "gauge", "Bytes of fetched and unstored batches."),
    Metric("loop_heartbeat_age_seconds", "gauge", "Age of the event loop's last heartbeat."),
    Metric("last_archived_timestamp_seconds", "gauge", "Kafka time of the last archived record.",
           ("topic", "partition")),
    Metric("ready", "gauge", "1 while a condition of `/readyz` holds.", ("condition",)),
    Metric("open_alarms", "gauge", "Alarms that are open."),
    Metric("assurance_level", "gauge",
           "What the store enforces: 0 mutable, 1 worm_unlocked, 2 worm_locked.", ("target",)),
    Metric("assurance_required_level", "gauge",
           "The lowest level the settings allow, on the same scale.", ("target",)),
    Metric("disk_free_bytes", "gauge",
           "Free bytes of the file system of the folder: state, archive or subjects.",
           ("folder",)),
    Metric("disk_size_bytes", "gauge", "Size of the same file system.", ("folder",)),
    Metric("last_end_info", "gauge",
           "1, with the error code that ended the process before this one; absent when it was "
           "stopped or killed.", ("code",)),
    Metric("log_size", "gauge", "Leaves in the archive log, as a notary knows it."),
    Metric("log_checkpoint_timestamp_seconds", "gauge",
           "When the newest batch of the archive log was written, by whichever notary."),
    Metric("log_leaves_total", "counter", "Leaves this notary wrote, digests included."),
    Metric("log_write_seconds", "histogram", "Time to gather and write what was due.", (), _SHORT),
    Metric("log_partitions_left_out", "gauge",
           "Partitions and registers of which something does not fit, and what follows it is not "
           "logged any more."),
    Metric("anchor_timestamp_seconds", "gauge",
           "When the authority or witness last vouched for a checkpoint of this notary, by its "
           "word.", ("anchor",)),
    Metric("anchor_failures", "gauge",
           "How often in a row the authority or witness has not vouched.", ("anchor",)),
    Metric("gateway_answers_total", "counter", "Answers of the retrieval API, by HTTP status.",
           ("route", "status")),
    Metric("gateway_answer_seconds", "histogram", "Time from a request's head to its answer.",
           ("route",), _SHORT),
    Metric("index_behind_seconds", "gauge",
           "How long ago a gateway's index had everything that was stored; 0 of other processes."),
    Metric("journal_unsealed_seconds", "gauge",
           "Age of the oldest closed part of a gateway's access journal that is not sealed."),
    Metric("holds_unenforced", "gauge",
           "Legal holds that are declared and that the store does not hold in full, by what it can "
           "hold: object, container, none. Told by who enforces holds.", ("profile",)),
    Metric("erasure_requests", "gauge",
           "Requests to erase that are not carried out, by state. Told by who carries them out.",
           ("state",)),
    Metric("erasure_due_timestamp_seconds", "gauge",
           "By when the most urgent request to erase is due; 0 where there is none."),
    Metric("erasures_awaiting_receiver", "gauge",
           "Requests to erase of which all is done but that a receiver of personal fields has not "
           "said that it erases them. Told by who carries them out."),
    Metric("platform_deletions_total", "counter",
           "Deletion notices of platforms that a gateway took, recorded and refused."),
    Metric("deliveries_total", "counter",
           "Records a receiver is done with: stored, rejected, disposed (gone before they were "
           "sent).", ("target", "outcome")),
    Metric("undeliverable_total", "counter", "Entries written to audit-undeliverable.",
           ("target",)),
    Metric("delivery_lag_seconds", "gauge",
           "Age of the oldest stored record that is not delivered, by its Kafka time; 0 without "
           "one.", ("target", "topic")),
    Metric("delivery_lag_records", "gauge",
           "Archived records not delivered yet, at most: offsets that stored segments cover behind "
           "the position.", ("target", "topic")),
    Metric("delivery_key_verdict", "gauge",
           "Whether the receiver honours idempotency keys, as its last probes showed: 1 for "
           "honoured, not_honoured or unknown.", ("target", "verdict")),
    Metric("delivery_key_memory_seconds", "gauge",
           "For how long it was shown to remember a key; 0: not at all.", ("target",)),
    Metric("deliveries_in_flight", "gauge", "Posts under way.", ("target",)),
    Metric("build_info", "gauge", "1, with the version as a label.", ("version",)),
)  # fmt: skip

#: What the Prometheus client tells of any process, under its usual names.
PROCESS = (
    Metric("process_start_time_seconds", "gauge", "When the process started."),
    Metric("process_cpu_seconds_total", "counter", "User and system CPU time."),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory."),
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory."),
    Metric("process_open_fds", "gauge", "Open file descriptors."),
    Metric("process_max_fds", "gauge", "Most file descriptors it may open."),
)

#: What `audit-stream reconcile --textfile` writes: proved by reading the whole archive.
RECONCILED = (
    Metric("timestamp_seconds", "gauge", "When the last reconciliation ended."),
    Metric("unexplained_offsets", "gauge", "Offsets that no ledger explains: must be 0.",
           ("topic",)),
    Metric("unarchived_offsets", "gauge", "Broker end minus archived offset.", ("topic",)),
    Metric("unresolved_offsets", "gauge", "Quarantined offsets of which no retry was archived.",
           ("topic",)),
    Metric("offsets", "gauge", "Offsets the ledgers explain, by disposition.",
           ("topic", "disposition")),
)  # fmt: skip
