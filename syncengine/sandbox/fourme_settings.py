"""What public sources leave open about 4me (Xurrent)."""

from __future__ import annotations

from syncengine.sandbox.setting import Setting

FOURME: dict[str, Setting] = {
    # -- limits
    "fourme.requests_per_hour": Setting(3600, (), "Documented limit of a user, rolling hour. 0: none."),
    "fourme.burst_requests": Setting(20, (), "Requests in a burst, as a public client documents. 0: any number."),
    "fourme.burst_seconds": Setting(2, (), "Length of that burst."),
    "fourme.retry_after": Setting(
        "seconds", ("seconds", "none"), "429 names the wait (documented), and under heavy load it does not (seen)."
    ),
    "fourme.plain_http": Setting(
        "accepted", ("accepted", "rejected"), "The service rejects HTTP (documented); the sandbox speaks it by default."
    ),
    # -- imports: the call
    "fourme.unknown_type_status": Setting(422, (422, 400), "The answer to a type that does not exist was not found."),
    "fourme.bad_file_status": Setting(422, (422, 400), "The answer to a missing or empty file was not found."),
    "fourme.unknown_account_status": Setting(
        403, (403, 401, 404), "The answer to an account in which the user has no role was not found."
    ),
    # -- imports: the file
    "fourme.utf8_bom": Setting(
        "accepted", ("accepted", "kept"), "A byte order mark is not mentioned; kept, it spoils the first header."
    ),
    "fourme.unknown_header": Setting(
        "ignored", ("ignored", "refused"), "Helper columns of exports are ignored (documented); others: not stated."
    ),
    "fourme.repeated_header": Setting("last", ("last", "first", "refused"), "A header that stands twice: not stated."),
    "fourme.header_case": Setting("exact", ("exact", "folded"), "Whether the case of headers counts: not stated."),
    "fourme.bad_value": Setting(
        "failure", ("failure", "ignored"), "What a cell that its column does not take does to its row: not stated."
    ),
    "fourme.example_values": Setting(
        "accepted", ("accepted", "refused"), "Values that published examples use and no current list has, e.g. skype."
    ),
    "fourme.strip_tab": Setting(
        False, (False, True), "Exports put a tab before = + - @ (documented); imports are not said to undo it."
    ),
    "fourme.unknown_id": Setting("failure", ("failure", "create"), "A filled ID of no record: not stated."),
    "fourme.references": Setting("folded", ("folded", "exact"), "Whether the case of names in references counts."),
    "fourme.email": Setting("folded", ("folded", "exact"), "Whether Primary Email finds a person in any case."),
    "fourme.unique_names": Setting(
        True, (True, False), "Names that references use are unique (documented); that a second fails: inferred."
    ),
    "fourme.disabled_targets": Setting(
        "failure", ("failure", "accepted"), "Disabled records can no longer be linked (documented); how: not stated."
    ),
    "fourme.custom_fields": Setting(
        "merge", ("merge", "replace"), "Whether fields that the cell does not name keep their value: not stated."
    ),
    "fourme.unknown_custom_field": Setting(
        "failure", ("failure", "ignored"), "A custom field that the record's UI extension does not define."
    ),
    "fourme.times": Setting(
        "migrated",
        ("migrated", "always", "never"),
        "Whether Created At and Updated At are taken over; migrated: of requests, tasks, notes and the like.",
    ),
    "fourme.calendar_hours": Setting(
        "replace", ("replace", "add"), "Whether a second import replaces a calendar's hours: not stated."
    ),
    "fourme.manual_details": Setting(
        "match",
        ("match", "add"),
        "A contact detail with Integration false and no ID: added each time, or matched to an equal one.",
    ),
    "fourme.max_failures": Setting(
        1000, (), "'Too many import failures' ends a job (seen); after how many was not found. 0: never."
    ),
    # -- imports: the job
    "fourme.start_seconds": Setting(0, (), "Seconds for which a job is queued: not stated."),
    "fourme.rows_per_second": Setting(0, (), "Rows that a job reads in a second of the sandbox's clock; 0: at once."),
    "fourme.jobs_at_once": Setting(1, (), "Jobs of one account that run side by side: not stated."),
    "fourme.line": Setting(
        "with_header", ("with_header", "rows", "absent"), "Whether `line` counts the header; it may be missing (seen)."
    ),
    "fourme.forget_seconds": Setting(300, (), "Documented: how long a finished job is remembered."),
    "fourme.counters": Setting(
        "rows", ("rows", "owners"), "Whether counters of grouped types count rows or owners: not stated."
    ),
    "fourme.log_host": Setting(
        "same",
        ("same", "other"),
        "Logs lie on another host (documented); here the sandbox's other name of the loopback.",
    ),
    "fourme.log_with_login": Setting(
        "refused", ("refused", "served"), "A pre-signed link refuses a second authentication (inferred)."
    ),
    # -- exports
    "fourme.export_with_login": Setting(
        "served", ("served", "refused"), "A public client sends its login to an export's link, so that is taken (seen)."
    ),
    "fourme.big_type": Setting(10_000, (), "Records from which a type is exported in full once a day (documented)."),
    "fourme.small_exports": Setting(
        0, (), "Full exports a day of a smaller type; 'several' (documented), the number was not found. 0: any."
    ),
    "fourme.export_day": Setting("rolling", ("rolling", "calendar"), "What 'a day' is: 24 hours, or the date in UTC."),
    "fourme.export_boolean": Setting("true", ("true", "1", "TRUE"), "Examples and exports write true, 1 and TRUE."),
    "fourme.export_duration": Setting("minutes", ("minutes", "h:mm"), "Durations stand in examples in both forms."),
    "fourme.export_zone": Setting(
        "Z", ("Z", "+02:00", "-05:00"), "In which zone exports write timestamps: not stated; any names its offset."
    ),
    "fourme.export_columns": Setting(
        "documented", ("documented", "shuffled"), "The order of columns may change at any time (documented)."
    ),
    "fourme.export_new_column": Setting(False, (False, True), "New columns may appear at any time (documented)."),
    "fourme.export_tab": Setting(True, (True, False), "A tab before = + - @ (documented); off: for comparison only."),
}
