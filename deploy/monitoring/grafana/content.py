"""What the dashboard shows: the three answers first, then a row for each question behind them."""

from __future__ import annotations

from panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Json,
    heatmap,
    lines,
    nothing,
    stat,
    states,
    table,
    words,
)

TOPIC = 'topic=~"$topic"'
PLACE = "{{topic}}/{{partition}}"
UP = '(sum(up{job="audit-stream"}) > 0)'
LATE = "topic:audit_stream_archive_delay_late:ratio_rate"
UNKNOWN = nothing("Nobody knows", RED)
CHECKPOINT_AGE = "time() - job:audit_stream_log_checkpoint_timestamp_seconds:max3d"
LEFT_OUT = "max by (job) (audit_stream_log_partitions_left_out)"
GOOD = words(_0=("Nothing", GREEN))
ANSWER: Json = {
    "width": 8, "height": 6, "steps": ((None, GREEN), (1, RED)), "mappings": (GOOD, UNKNOWN),
}  # fmt: skip


def or_zero(query: str) -> str:
    """0 where the query finds nothing."""
    return f"({query} or vector(0))"


def rate(metric: str, by: str, labels: str = TOPIC) -> str:
    """Events a second, by labels."""
    chosen = f"{{{labels}}}" if labels else ""
    return f"sum by ({by}) (rate(audit_stream_{metric}{chosen}[$__rate_interval]))"


def quantile(q: float, metric: str, labels: str = "", window: str = "$__rate_interval") -> str:
    """Of a histogram over all series."""
    chosen = f"{{{labels}}}" if labels else ""
    buckets = f"sum by (le) (rate(audit_stream_{metric}_bucket{chosen}[{window}]))"
    return f"histogram_quantile({q}, {buckets})"


def by_place(metric: str) -> str:
    """A gauge by partition, whichever worker has it."""
    return f"max by (topic, partition) (audit_stream_{metric}{{{TOPIC}}})"


FIRST = [
    stat(
        "Is anything missing?",
        f"{or_zero('sum(max_over_time(audit_stream_lost_offsets_total[6h]))')} + "
        f"{or_zero('sum(audit_reconciled_unexplained_offsets)')} + "
        f"{or_zero('sum(max_over_time(audit_stream_forks_total[6h]))')} + "
        + or_zero('count(audit_stream_last_end_info{code="AS-4001"})') + " + "
        + or_zero(f"sum({LEFT_OUT})") + f" and on () {UP}",
        "Lost offsets and forks that the running workers know of, and partitions that notaries "
        "leave out of the archive log (live); unexplained offsets of the last `reconcile` "
        "(proved). `Nothing` is no proof: a `reconcile` is; see its age below.",
        runbook="lost", **ANSWER,
    ),
    stat(
        "Is anything late?",
        or_zero("count(time() - audit_stream_last_progress_timestamp_seconds > 120)") + " + "
        + or_zero(f"count({LATE}5m > 0.001)") + " + "
        + or_zero(f"count({CHECKPOINT_AGE} > 180)") + f" and on () {UP}",
        "Partitions that have had something to archive and have not moved for 2 minutes, "
        "topics of which more than 0.1% was stored later than 2 minutes in the last 5, and "
        "archive logs without a new checkpoint for 3 minutes.",
        runbook="no-progress", **ANSWER,
    ),
    stat(
        "Is anything broken?",
        or_zero('count(ALERTS{alertstate="firing", alertname=~"AuditStream.+", '
                'severity=~"critical|warning"})')
        + ' and on () ALERTS{alertname="AuditStreamWatchdog"}',
        "Alerts that are firing; the table below names them. `Nobody knows` means that the alert "
        "rules are not loaded.",
        runbook="alarms", **ANSWER,
    ),
    table(
        "Firing alerts",
        'sort_desc(ALERTS{alertstate="firing", alertname=~"AuditStream.+", '
        'severity=~"critical|warning"})',
        "Each has a runbook: its link is in the alert itself.",
        hidden=("Time", "Value", "__name__", "alertstate", "job"),
        width=24, height=6, limits={"noValue": "No alert is firing"},
        overrides=[
            {"matcher": {"id": "byName", "options": "severity"}, "properties": [
                {"id": "mappings", "value": [words(critical=("critical", RED),
                                                   warning=("warning", YELLOW))]},
                {"id": "custom.cellOptions", "value": {"type": "color-background"}},
            ]},
        ],
    ),
]  # fmt: skip

COMPLETENESS = [
    stat("Not archived yet", f"sum(audit_stream_unarchived_offsets{{{TOPIC}}})",
         "Live: broker end minus archived offset, of the partitions that a worker has.",
         steps=((None, BLUE),), mappings=(nothing("Nobody knows", RED),), runbook="no-progress"),
    stat("Lost", f"sum(audit_stream_lost_offsets_total{{{TOPIC}}})",
         "Live: offsets retention deleted before they were archived, since the workers started.",
         steps=((None, GREEN), (1, RED)), runbook="lost"),
    stat("Partitions without a worker",
         f"sum(max by (topic) (audit_stream_topic_partitions{{{TOPIC}}})) - "
         + or_zero(f"count({by_place('partition_stopped')})"),
         "Live: nobody measures the lag of these.", steps=((None, GREEN), (1, RED)),
         runbook="unowned"),
    stat("Unexplained", f"sum(audit_reconciled_unexplained_offsets{{{TOPIC}}})",
         "Proved by the last `reconcile`, which reads every ledger: offsets that none explains.",
         steps=((None, GREEN), (1, RED)), mappings=(nothing("No reconcile yet", YELLOW),),
         runbook="unexplained"),
    stat("Age of that proof", "time() - max(audit_reconciled_timestamp_seconds)",
         "Since the last `audit-stream reconcile --textfile` ended. It should run every day.",
         unit="s", steps=((None, GREEN), (26 * 3600, YELLOW), (72 * 3600, RED)),
         mappings=(nothing("No reconcile yet", YELLOW),), runbook="unexplained"),
    stat("Assurance", "min(audit_stream_assurance_level)",
         "What the store enforces: only locked write-once storage proves that nothing was changed.",
         mappings=(words(_0=("mutable", YELLOW), _1=("WORM unlocked", YELLOW),
                         _2=("WORM locked", GREEN)),), runbook="assurance"),
    lines("Offsets judged, by disposition",
          [(rate("records_total", "disposition"), "{{disposition}}")],
          "Every offset gets exactly one disposition.", unit="ops", stacked=True),
    lines("Records archived, by topic",
          [(rate("records_archived_total", "topic"), "{{topic}}")],
          "Rises that were durably stored.", unit="ops"),
    table("Proved: every offset's disposition",
          f"sum by (topic, disposition) (audit_reconciled_offsets{{{TOPIC}}})",
          "From the ledgers of the whole archive, at the last `reconcile`.", hidden=("Time",),
          width=24, limits={"noValue": "No reconcile yet"}),
]  # fmt: skip

DELAY = [
    stat("Error budget left, 30 days",
         f'1 - (1 - sum(increase(audit_stream_archive_delay_seconds_bucket{{le="120.0", {TOPIC}}}'
         f"[30d])) / sum(increase(audit_stream_archive_delay_seconds_count{{{TOPIC}}}[30d]))) / "
         "0.001",
         "Service level: 99.9% stored within 2 minutes. Taken of each segment's first and last "
         "record; what is not stored yet has no delay.",
         unit="percentunit", steps=((None, RED), (0, YELLOW), (0.5, GREEN)), height=8,
         limits={"max": 1}, runbook="archive-delay"),
    lines("How fast the budget burns",
          [(f"max({LATE}{window}) / 0.001", window) for window in ("5m", "1h", "6h", "3d")],
          "1 uses the budget up in 30 days, 6 in 5 days, 14.4 in 2 days (dashed: what alerts).",
          steps=((None, GREEN), (1, YELLOW), (6, "orange"), (14.4, RED)), width=10,
          runbook="archive-delay"),
    lines("Archive delay",
          [(quantile(0.5, "archive_delay_seconds", TOPIC), "median"),
           (quantile(0.99, "archive_delay_seconds", TOPIC), "99%"),
           (quantile(0.999, "archive_delay_seconds", TOPIC), "99.9%")],
          "Broker timestamp to stored, of each segment's first and last record.", unit="s",
          steps=((None, GREEN), (120, RED)), width=10, runbook="archive-delay"),
    heatmap("Archive delay, all of it",
            "sum by (le) (increase(audit_stream_archive_delay_seconds_bucket"
            f"{{{TOPIC}}}[$__rate_interval]))",
            "How many segments came how late.", "s", width=24),
]  # fmt: skip

LAG = [
    lines("Unarchived offsets",
          [(by_place("unarchived_offsets"), PLACE)],
          "Broker end minus archived offset.", runbook="no-progress"),
    lines("Retention left to the oldest unarchived record",
          [(f"topic_partition:audit_stream_retention_headroom:ratio{{{TOPIC}}}", PLACE)],
          "At 0 the broker deletes what is not archived. Counted from the last archived record, so "
          "it dips for a moment when an idle topic gets a record.",
          unit="percentunit", steps=((None, RED), (0.2, YELLOW), (0.5, GREEN)),
          limits={"min": 0, "max": 1}, runbook="headroom"),
    lines("Since the last progress",
          [("time() - " + by_place("last_progress_timestamp_seconds"), PLACE)],
          "How long a partition with something to archive has not moved.", unit="s",
          steps=((None, GREEN), (120, YELLOW), (600, RED)), runbook="no-progress"),
    states("Partitions",
           [(by_place("partition_stopped"), PLACE)],
           "Green: read. Red: stopped until somebody acts. A gap: no worker has it.",
           mappings=(words(_0=("read", GREEN), _1=("stopped", RED)),),
           runbook="partition-stopped"),
]  # fmt: skip

STORE = [
    states("Circuit breaker", [("max by (instance) (audit_stream_breaker_open)", "{{instance}}")],
           "Open: the store fails, and fetching is paused.",
           mappings=(words(_0=("closed", GREEN), _1=("open", RED)),), runbook="breaker"),
    lines("Time of a put",
          [(quantile(0.5, "store_put_seconds"), "median"),
           (quantile(0.99, "store_put_seconds"), "99%"),
           (quantile(0.99, "seal_seconds"), "sealing, 99%")],
          "A segment's put, retries included, and its sealing before it.", unit="s",
          runbook="breaker"),
    lines("Segments",
          [(rate("store_put_seconds_count", "outcome", ""), "{{outcome}}")],
          "`exists`: another writer was first, which is normal after a rebalance.", unit="ops",
          width=8),
    lines("Bytes stored",
          [("sum(rate(audit_stream_segment_bytes_sum[$__rate_interval]))", "stored")],
          "Size of the segments put.", unit="Bps", width=8),
    lines("Free on disks",
          [("instance_folder:audit_stream_disk_free:ratio", "{{instance}} {{folder}}")],
          "Of the file systems of the folders: state, and archive and subjects where they are "
          "folders.", unit="percentunit", steps=((None, RED), (0.05, YELLOW), (0.15, GREEN)),
          limits={"min": 0, "max": 1}, width=8, runbook="disk"),
]  # fmt: skip

SECOND = [
    lines("Second store: how far behind",
          [("audit_stream_secondary_lag_seconds", "{{instance}}"),
           ("max(audit_stream_secondary_lag_bound_seconds)", "bound")],
          "Age of the oldest object that is not copied yet. At the bound nothing more is stored.",
          unit="s", width=8, runbook="second-store"),
    lines("Second store: waiting",
          [("audit_stream_secondary_pending_objects", "{{instance}}"),
           ("sum(increase(audit_stream_secondary_copied_total[$__rate_interval]))",
            "copied by sweeps")],
          "Objects to be copied; and those that a sweep found and copied.", width=8,
          runbook="second-store"),
    stat("Second store: not the same",
         "sum(max by (job) (audit_stream_secondary_differing_objects)) + "
         "sum(max by (job) (audit_stream_secondary_missing_objects))",
         "Objects that differ, or that one store alone has and that could not be copied.",
         steps=((None, GREEN), (1, RED)), height=8, width=4, runbook="second-store"),
    stat("Second store: last sweep",
         "time() - max(audit_stream_secondary_swept_timestamp_seconds > 0)",
         "Since `audit-stream archive mirror --every` last got to the end.", unit="s", height=8,
         width=4, steps=((None, GREEN), (26 * 3600, YELLOW)),
         mappings=(nothing("No sweep", YELLOW),), runbook="second-store"),
]  # fmt: skip

QUARANTINE = [
    stat("Oldest", f"time() - min(audit_stream_quarantine_oldest_timestamp_seconds{{{TOPIC}}})",
         "Live: age of the oldest record that a running worker quarantined.", unit="s",
         steps=((None, GREEN), (86400, YELLOW), (3 * 86400, RED)), height=8,
         mappings=(nothing("None", GREEN),), runbook="quarantine"),
    stat("Unresolved", f"sum(audit_reconciled_unresolved_offsets{{{TOPIC}}})",
         "Proved by the last `reconcile`: quarantined offsets without an archived retry.",
         steps=((None, GREEN), (1, YELLOW)), height=8,
         mappings=(nothing("No reconcile yet", YELLOW),), runbook="quarantine"),
    lines("Share of records",
          [(f"topic:audit_stream_records_quarantined:ratio_rate15m{{{TOPIC}}}", "{{topic}}")],
          "Of 15 minutes.", unit="percentunit", steps=((None, GREEN), (0.01, YELLOW), (0.5, RED)),
          width=8, runbook="quarantine"),
    lines("By reason",
          [(rate("quarantined_total", "topic, reason"), "{{topic}} {{reason}}")],
          "What was not understood.", unit="ops", width=8, runbook="quarantine"),
]  # fmt: skip

STATE = [
    lines("Restore under way",
          [("audit_stream_restore_running_seconds", "{{instance}}")],
          "How long assignment and restore have been running.", unit="s",
          steps=((None, GREEN), (1800, RED)), width=8, runbook="restore"),
    lines("Changelog records still to restore",
          [("audit_stream_restore_remaining_records", "{{instance}}")],
          "Falls while a restore moves.", width=8, runbook="restore"),
    lines("How long restores took",
          [(quantile(0.9, "restore_seconds", window="1h"), "90% within an hour")],
          "From assignment to ready.", unit="s", width=8),
    lines("Keys in the precedence table",
          [("sum by (partition) (audit_stream_table_keys)", "partition {{partition}}")],
          "Estimated by RocksDB.", width=8),
    lines("Rebalances and resyncs",
          [("sum(increase(audit_stream_rebalances_total[$__rate_interval]))", "rebalances"),
           ("sum by (reason) (increase(audit_stream_resyncs_total[$__rate_interval]))",
            "resync: {{reason}}")],
          "Many of them: workers join and leave all the time.", width=8),
    lines("Held in memory",
          [("audit_stream_overlay_bytes", "{{instance}}")],
          "Fetched and not stored. At the memory budget fetching waits.", unit="bytes", width=8),
    lines("Block caches",
          [("audit_stream_block_cache_bytes", "{{instance}}")],
          "Of the precedence table and of a gateway's index: they fill, and stay full.",
          unit="bytes", width=8),
]  # fmt: skip

PROCESS = [
    states("Ready",
           [("audit_stream_ready", "{{instance}} {{condition}}"),
            ('up{job="audit-stream"}', "{{instance}} scraped")],
           "The conditions of /readyz, and whether Prometheus reaches the worker at all.",
           mappings=(words(_0=("no", RED), _1=("yes", GREEN)),), runbook="not-ready"),
    lines("Event loop", [("audit_stream_loop_heartbeat_age_seconds", "{{instance}}")],
          "Age of the last heartbeat.", unit="s", steps=((None, GREEN), (10, RED)),
          runbook="event-loop"),
    lines("CPU",
          [('rate(process_cpu_seconds_total{job="audit-stream"}[$__rate_interval])',
            "{{instance}}")], "Cores in use.", width=8),
    lines("Memory",
          [('process_resident_memory_bytes{job="audit-stream"}', "{{instance}}")],
          "Resident.", unit="bytes", width=8),
    lines("Open alarms", [("audit_stream_open_alarms", "{{instance}}")],
          "/alarms of the worker has their words.", steps=((None, GREEN), (1, YELLOW)), width=8,
          runbook="alarms"),
    table("Versions", "audit_stream_build_info", "What runs.",
          hidden=("Time", "Value", "__name__", "job")),
    table("What ended the process before", "audit_stream_last_end_info",
          "Error code of each worker whose last process ended itself. Gone after a stop.",
          hidden=("Time", "Value", "__name__", "job"), runbook="errors",
          limits={"noValue": "None ended by itself"}),
    lines("Rekeyed and misplaced",
          [(rate("rekeyed_total", "topic"), "rekeyed {{topic}}"),
           (rate("misplaced_samples_total", "topic"), "misplaced {{topic}}")],
          "Copies to a rekeyed topic; samples that lie in another partition than their key's.",
          unit="ops", runbook="partitioner"),
    lines("Statuses that came too late",
          [(rate("regressions_total", "held, came"), "{{came}} after {{held}}")],
          "Below the status held: recorded in the ledger, not archived.", unit="ops"),
]  # fmt: skip

LOG = [
    stat("Leaves in the archive log", "max(audit_stream_log_size)",
         "As the notaries know it: every segment, stream and digest.", steps=((None, BLUE),)),
    stat("Age of the newest checkpoint",
         f"max({CHECKPOINT_AGE})",
         "A batch is written every minute, idle or not: minutes mean that no notary runs or none "
         "can write.", unit="s", steps=((None, GREEN), (180, YELLOW), (600, RED)),
         mappings=(nothing("No notary", YELLOW),), runbook="checkpoint-stale"),
    stat("Partitions left out", f"sum({LEFT_OUT})",
         "Their segments do not fit their chain, so nothing of them is logged any more.",
         steps=((None, GREEN), (1, RED)), runbook="fork"),
    lines("Leaves written", [(rate("log_leaves_total", "instance", ""), "{{instance}}")],
          "Whichever notary was first; digests included.", unit="ops"),
    lines("Time to gather and write a batch",
          [(quantile(0.5, "log_write_seconds"), "median"),
           (quantile(0.99, "log_write_seconds"), "99%")],
          "Of what was due.", unit="s"),
    lines("Age of the newest anchor",
          [("time() - max by (anchor) (audit_stream_anchor_timestamp_seconds > 0)", "{{anchor}}")],
          "Since an authority or witness last vouched for a checkpoint; none without outside "
          "anchors, or before the first.", unit="s", runbook="anchor"),
    lines("Anchors that fail",
          [("max by (anchor) (audit_stream_anchor_failures)", "{{anchor}}")],
          "How often in a row an authority or witness has not vouched; at 3 it is an alarm.",
          runbook="anchor"),
]  # fmt: skip

GATEWAY = [
    lines("Answers of the retrieval API",
          [(rate("gateway_answers_total", "status", ""), "{{status}}")],
          "By HTTP status. 409 is tampered; 401, 403 and 429 are callers to look at; 503 is a "
          "store, an index or a journal.", unit="ops", runbook="gateway"),
    lines("Time to an answer",
          [(quantile(0.5, "gateway_answer_seconds"), "median"),
           (quantile(0.99, "gateway_answer_seconds"), "99%")],
          "From a request's head on, its record in the access journal included.", unit="s"),
    lines("Platforms' deletion notices",
          [(rate("platform_deletions_total", "instance", ""), "{{instance}}")],
          "Recorded and refused: archived records are exempt.", unit="ops"),
    stat("Legal holds not enforced", "sum(max by (profile) (audit_stream_holds_unenforced))",
         "Declared, and not held by the store in full, as the keeper of holds tells.",
         steps=((None, GREEN), (1, RED)), mappings=(nothing("No keeper", YELLOW),),
         runbook="holds"),
    stat("Requests to erase", "sum by (state) (max by (state) (audit_stream_erasure_requests))",
         "Not carried out yet, as who carries them out tells. A month is the limit.",
         mappings=(nothing("No keeper", YELLOW),), runbook="erasure"),
]  # fmt: skip

DELIVERY = [
    lines("Records delivered", [(rate("deliveries_total", "target, outcome", ""),
                                 "{{target}} {{outcome}}")],
          "Stored by the receiver, rejected by it, or disposed of before they were sent.",
          unit="ops", runbook="delivery"),
    lines("Age of the oldest record that is not delivered",
          [("max by (target, topic) (audit_stream_delivery_lag_seconds)", "{{target}} {{topic}}")],
          "By its Kafka time. Without a line no deliverer runs.", unit="s", runbook="delivery"),
    lines("Records not delivered, at most",
          [("max by (target, topic) (audit_stream_delivery_lag_records)", "{{target}} {{topic}}")],
          "Offsets that stored segments cover behind the position; duplicates among them count, "
          "too.", runbook="delivery"),
    lines("Posts under way",
          [("sum by (target) (audit_stream_deliveries_in_flight)", "{{target}}")],
          "At most AUDIT_DELIVERY_CONCURRENCY. At the limit, the receiver is the slow part."),
    stat("Undeliverable within 6 hours",
         "sum(max_over_time(audit_stream_undeliverable_total[6h]))",
         "Rejected by a receiver; deliver retry tries them again.",
         steps=((None, GREEN), (1, YELLOW)), mappings=(nothing("No deliverer", BLUE),),
         runbook="undeliverable"),
    stat("Erasures that wait for a receiver", "max(audit_stream_erasures_awaiting_receiver)",
         "All is done but that a receiver of personal fields says that it erases them.",
         steps=((None, GREEN), (1, YELLOW)), mappings=(nothing("No keeper", YELLOW),),
         runbook="erasure"),
    stat("Idempotency keys", "max by (target, verdict) (audit_stream_delivery_key_verdict) > 0",
         "Whether each receiver was shown to honour them, by the last probes.",
         mappings=(nothing("No check", YELLOW),), runbook="delivery-keys"),
    stat("Keys are remembered for", "min by (target) (audit_stream_delivery_key_memory_seconds)",
         "For how long a receiver was shown to remember a key; 0 for not at all.", unit="s",
         steps=((None, YELLOW), (86400, GREEN)), mappings=(nothing("No check", YELLOW),),
         runbook="delivery-keys"),
]  # fmt: skip

ROWS = {
    "Completeness": COMPLETENESS, "Delay and service level": DELAY,
    "Lag and retention headroom": LAG, "Store and breaker": STORE, "Second store": SECOND,
    "Archive log": LOG, "Quarantine": QUARANTINE, "Gateway": GATEWAY,
    "Delivery": DELIVERY,
    "State and restore": STATE, "Processes": PROCESS,
}  # fmt: skip
