"""What public sources leave open: each such behaviour has a name here, a value, and the reason for the default.

A system property that the service itself documents is no setting but a row of sys_properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from syncengine.sandbox.fourme_settings import FOURME
from syncengine.sandbox.setting import Setting, Value

SETTINGS: dict[str, Setting] = {
    **FOURME,
    "identify.compare": Setting(
        "folded",
        ("folded", "exact"),
        "Not documented; the usual collation ignores case, and blanks at the ends are cut.",
    ),
    "identify.dependent_by_source_key": Setting(
        "host", ("host", "alone"), "Not documented whether a dependent item matched by source key still needs its host."
    ),
    "identify.settle_dependent_duplicates": Setting(
        False, (False, True), "The duplicate properties are described for independent items only."
    ),
    "identify.duplicates_at_threshold": Setting(
        "error", ("error", "settle"), "The pages say 'less than' in one place and 'exceeds' in another."
    ),
    "identify.duplicate_lookup_rows": Setting(
        "first",
        ("first", "error"),
        "MULTI_MATCH has a text for two equal lookup rows of one record; when it is raised is not documented.",
    ),
    "update.empty_clears": Setting(
        False, (False, True), "No public example shows an empty value clearing an attribute."
    ),
    "update.touch_updates_sys_updated_on": Setting(
        False, (False, True), "last_discovered of unchanged items is written in batch without business rules."
    ),
    "columns.unknown": Setting(
        "ignore", ("ignore", "store"), "An attribute that the class does not have is left out without a word."
    ),
    "answer.style": Setting(
        "newer",
        ("newer", "older"),
        "Older examples lack the source attempt, warningCount and what became of related rows.",
    ),
    "answer.flags": Setting(
        "always", ("always", "with_summary"), "hasError, hasWarning: live answers have them, two examples do not."
    ),
    "answer.rejected_operation": Setting(
        "absent",
        ("absent", "NO_CHANGE", "INSERT_AS_INCOMPLETE"),
        "No example of a rejected item without partial payloads.",
    ),
    "answer.relation_ids": Setting(
        True, (True, False), "sysId of relations: in scripted examples and one REST example, absent in the others."
    ),
    "answer.collateral_errors": Setting(
        True, (True, False), "What an all-or-nothing call says about the good items beside a bad one."
    ),
    "answer.plain_names": Setting(
        True, (True, False), "Whether an all-or-nothing call says which of several items was bad, or only that one was."
    ),
    "calls.enhanced_pair": Setting(
        True, (True, False), "The oldest documented releases list the two plain calls only (Jakarta)."
    ),
    "table.unordered": Setting(
        "sys_id", ("sys_id", "shuffled"), "No order is promised; shuffled finds clients that rely on one."
    ),
    "table.max_url": Setting(8000, (), "Long URLs are refused; the limit differs by gateway."),
    "table.long_url": Setting(
        "414", ("414", "414_html", "html200"), "What a URL that is too long is answered with (all three reported)."
    ),
    "limits.body_bytes": Setting(10_485_760, (), "glide.rest.max_content_length, documented default."),
    "limits.requests_per_hour": Setting(
        1_000_000,
        (),
        "Requests per user and hour where no rule of sys_rate_limit_rules is lower; which ship is not public. 0: none.",
    ),
    "limits.headers": Setting(
        "refusals",
        ("refusals", "always", "never"),
        "The rate-limit headers are documented for the refusal; which other answers have them differs.",
    ),
    "limits.flush_seconds": Setting(
        0, (), "Counts reach a node every 30 s or so (observed), so a burst may exceed a limit; 0 counts exactly."
    ),
    "limits.semaphores": Setting(
        4, (), "API transactions at a time on one node, as observed on an instance; 0: any number."
    ),
    "limits.queue": Setting(50, (), "API transactions that wait for a place, as observed; the next is answered 429."),
    "session.cookies": Setting(
        True, (True, False), "Answers set JSESSIONID; who sends it back has its requests run one after the other."
    ),
    "session.queue": Setting(
        10, (), "Waiting requests of one session, beyond which a new one is dropped with 202 (observed)."
    ),
    "session.seconds": Setting(
        30, (), "Age of a session's running request from which a new one is dropped (observed)."
    ),
    "quota.seconds": Setting(60, (), "Transaction quota of Table and Aggregate API (documented). 0: none."),
    "quota.batch_seconds": Setting(30, (), "Transaction quota of the Batch API as a whole (documented). 0: none."),
    "quota.other_seconds": Setting(
        300, (), "Transaction quota of every other API: not documented; that of the UI is taken."
    ),
    "quota.answer": Setting(
        "500",
        ("500", "in_body", "cut"),
        "A read over its quota: an error, an error beside the rows, or a list cut off (all observed).",
    ),
    "batch.request_bytes": Setting(5_242_880, (), "Largest request inside a batch (documented default)."),
    "batch.answer_bytes": Setting(
        10_485_760, (), "Answers of a batch together (documented default); the rest is unserviced."
    ),
    "access.applied": Setting(
        "after_limit",
        ("after_limit", "before_limit"),
        "Rows are hidden after the limit was applied (documented), so pages are short.",
    ),
    "access.total_count": Setting(
        "all", ("all", "visible"), "Not documented whether X-Total-Count counts rows that the user may not read."
    ),
    "audit.delete": Setting(
        "all",
        ("all", "none"),
        "Deletions of audited tables are noted in sys_audit_delete (documented); which are audited differs.",
    ),
    "access.hidden_table": Setting(
        "empty", ("empty", "403"), "A list of a table without read access is empty, or refused (both observed)."
    ),
    "access.hidden_column": Setting(
        "absent", ("absent", "empty"), "A column without read access is left out, or stands there empty."
    ),
    "login.basic": Setting(
        "open",
        ("open", "restricted"),
        "From mid 2026 Basic can be restricted to users with web-service-only access (documented); not all are.",
    ),
    "oauth.unscoped_status": Setting(
        401, (401, 403), "A securely scoped client without scope for the API: both statuses were reported."
    ),
    "oauth.jti": Setting(
        "required",
        ("required", "if_present", "ignored"),
        "jti is checked (documented); whether it must be there is not.",
    ),
    "oauth.jwt_client": Setting(
        "secret", ("secret", "secret_if_present"), "Whether a JWT bearer grant needs the client's secret as well."
    ),
    "import.status": Setting(201, (201, 200), "Single inserts answer 201 in the documentation's example, or 200."),
    "import.invalid_table": Setting(
        400, (400, 404, 500), "A table that does not exist or is no staging table; texts observed, status not found."
    ),
    "import.unchanged_names": Setting(
        "target", ("target", "row"), "Whose sys_id stands in the answer for a row that changed nothing: not stated."
    ),
    "import.no_map": Setting(
        "empty", ("empty", "error"), "The answer to a single insert for a table without a transform map was not found."
    ),
    "import.no_map_state": Setting(
        "processed", ("processed", "loaded"), "What becomes of an asynchronous set without a transform map: not stated."
    ),
    "import.multiple": Setting(
        "installed", ("installed", "missing"), "insertMultiple needs a plugin that some instances lack (observed)."
    ),
    "import.start_seconds": Setting(
        0, (), "Seconds from an asynchronous insert until its job begins; an instance's schedule is not public."
    ),
    "import.rows_per_second": Setting(
        0, (), "Rows that a job transforms in a second of the sandbox's clock; 0: as fast as it can."
    ),
    "import.order": Setting(
        "oldest_first", ("oldest_first", "newest_first"), "No order of waiting sets is promised without run_after."
    ),
    "import.run_column": Setting(
        "set", ("set", "import_set"), "The column of sys_import_set_run that names the set: public clients differ."
    ),
    "import.imp_user_coalesce": Setting(
        "email",
        ("email", "user_id"),
        "Documented for the shipped map: email; the example of the API page inserts a row without one.",
    ),
    "answer.xml_root": Setting("response", ("response", "result"), "The outermost element of XML answers: not shown."),
    "staging.too_long": Setting(
        "cut", ("cut", "error"), "Text longer than its staging column: cut silently (observed), or refused."
    ),
    "staging.null": Setting("", ("", "null"), "What a JSON null becomes in a staging column: not documented."),
    "staging.row_bytes": Setting(8126, (), "Documented maximum of a row; text over 255 stands elsewhere. 0: none."),
    "staging.row_shows": Setting(
        "last", ("last", "first"), "Of several maps one result is kept in the row: which one is not stated."
    ),
    "transform.empty_coalesce": Setting(
        "any", ("any", "all"), "Whether one empty coalesce value skips a row, or only all of them: not stated."
    ),
    "transform.empty_row": Setting(
        "skipped",
        ("skipped", "inserted"),
        "Rows with every field empty were reported as skipped; without a coalesce that is not stated.",
    ),
    "transform.first_match": Setting(
        "oldest",
        ("oldest", "newest", "sys_id"),
        "The first of several matches is updated; which one is first, no page says.",
    ),
    "transform.reference_sys_id": Setting(
        True, (True, False), "Whether a reference field takes a sys_id where a display value is due."
    ),
    "transform.rejected_state": Setting(
        "skipped", ("skipped", "ignored", "error"), "State of a row that choice action reject turns away: not stated."
    ),
    "transform.mandatory_state": Setting(
        "error", ("error", "skipped", "ignored"), "State of a row without a mandatory field: not stated."
    ),
    "transform.typed": Setting(
        False,
        (False, True),
        "Whether numbers and booleans get one form (64 for 064, true for yes) and others are left out: not stated.",
    ),
    "transform.bad_date": Setting(
        "left", ("left", "cleared"), "What a date in another format than its field map's does to the field."
    ),
    "transform.target_length": Setting(
        "keep", ("keep", "cut"), "Text longer than the target column; lengths of shipped columns are not exact here."
    ),
    "attachment.hash": Setting(
        "listed",
        ("listed", "table", "none"),
        "SHA-256 in lists and single records of recent releases, in the table only, or not at all.",
    ),
    "attachment.by_name": Setting(
        "reads", ("reads", "always"), "created_by_name and updated_by_name: the upload example lacks them."
    ),
    "attachment.limit": Setting(1000, (), "sysparm_limit without a value, as the page says."),
    "attachment.too_large_status": Setting(413, (413, 400, 500), "A file over the maximum: no answer was found."),
    "attachment.extension_status": Setting(400, (400, 403, 415), "A blocked extension: no answer was found."),
    "attachment.file_first": Setting(
        400, (400, 201), "A multipart upload whose file part is not the last one: refused here, or taken all the same."
    ),
    "attachment.same_content": Setting(
        "kept", ("kept", "refused"), "The same content twice on one record: whether REST refuses it was not found."
    ),
    "attachment.unknown_record": Setting(404, (404, 400, 201), "An upload for a record that does not exist."),
    "rules.hardware_fourth_entry": Setting(
        "mac_address,name",
        ("mac_address,name", "ip_address,mac_address"),
        "Every output that reaches it says MAC and name; older pages say IP and MAC.",
    ),
    "values.display": Setting(
        "ignored", ("ignored", "honoured"), "display_values of an item are documented for the scripted API only."
    ),
}


class Settings(Mapping[str, Value]):
    """The settings in force."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, Value] = {name: setting.default for name, setting in SETTINGS.items()}
        for name, value in (values or {}).items():
            self.set(name, value)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def set(self, name: str, value: Value) -> None:
        """Change one; unknown names and values are refused."""
        setting = SETTINGS.get(name)
        if setting is None:
            raise ValueError(f"there is no setting {name!r}; there are: {', '.join(sorted(SETTINGS))}")
        if setting.choices and value not in setting.choices:
            raise ValueError(f"{name} is one of {', '.join(map(str, setting.choices))}, not {value!r}")
        if not setting.choices and type(value) is not type(setting.default):
            raise ValueError(f"{name} is a {type(setting.default).__name__}, not {value!r}")
        self._values[name] = value

    def number(self, name: str) -> int:
        """A setting that is a whole number."""
        return int(self._values[name])

    def changed(self) -> dict[str, Value]:
        """Those that differ from their default."""
        return {name: value for name, value in self._values.items() if value != SETTINGS[name].default}
