"""Answers that are well-formed but say the wrong thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from syncengine.sandbox.faults.exchange import Answer
from syncengine.sandbox.faults.rules import Rule

Change = Callable[[Any, Rule], Any]


def change(answer: Answer, rule: Rule) -> Answer:
    """The answer with its JSON changed as the rule says."""
    action = CHANGES[rule.action]
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        return answer
    body = orjson.dumps(action(document, rule))
    return Answer(
        answer.status, [*answer.without(b"content-length"), (b"content-length", str(len(body)).encode())], body
    )


def _items(document: Any) -> list[dict[str, Any]]:
    """The rows of an answer, whichever API gave it."""
    result = document.get("result") if isinstance(document, dict) else None
    if isinstance(result, dict) and isinstance(result.get("items"), list):
        return [item for item in result["items"] if isinstance(item, dict)]
    return [item for item in result if isinstance(item, dict)] if isinstance(result, list) else []


def _shuffle(document: Any, rule: Rule) -> Any:
    result = document.get("result") if isinstance(document, dict) else None
    for rows in (result.get("items"), result.get("relations")) if isinstance(result, dict) else (result,):
        if isinstance(rows, list):
            rule.random.shuffle(rows)
    return document


def _operation(document: Any, rule: Rule) -> Any:
    for item in _items(document):
        name = "status" if "transform_map" in item else "operation"
        item["sys_import_state" if "sys_import_state" in item else name] = rule.argument(0, "FROBNICATE")
    return document


def _fail(item: dict[str, Any], code: str) -> None:
    item["errors"] = [{"error": code, "message": f"{code}: made by a fault rule"}]
    item.setdefault("warnings", [])
    item["errorCount"] = 1
    item["sysId"] = item["identifierEntrySysId"] = "Unknown"
    item.pop("operation", None)


def _code(document: Any, rule: Rule) -> Any:
    code = rule.argument(0, "LOCK_TIMEOUT")
    if code == "cancelled":
        document["error"] = CANCELLED
        document["status"] = "failure"
        return document
    for item in _items(document):
        _fail(item, code)
    return _flag(document)


def _item_errors(document: Any, rule: Rule) -> Any:
    for item in _items(document):
        if rule.random.random() < rule.number(0, 0.5):
            _fail(item, rule.argument(1, "INSERT_FAILED"))
    return _flag(document)


def _flag(document: Any) -> Any:
    if isinstance(document.get("result"), dict) and "hasError" in document["result"]:
        document["result"]["hasError"] = True
    return document


def _count(document: Any, rule: Rule) -> Any:
    result = document.get("result")
    rows = result.get("items") if isinstance(result, dict) else result
    by = int(rule.argument(0, "-1"))
    if isinstance(document.get("results"), dict):
        # an import job: its counters no longer fit the rows sent
        document["results"]["created"] = max(0, document["results"]["created"] + by)
        return document
    if isinstance(rows, list) and rows:
        if by < 0:
            del rows[by:]
        else:
            rows.extend(rows[-1:] * by)
    return document


def _swap(document: Any, _rule: Rule) -> Any:
    rows = [item for item in _items(document) if "sysId" in item or "sys_id" in item]
    if len(rows) > 1:
        name = "sysId" if "sysId" in rows[0] else "sys_id"
        rows[0][name], rows[-1][name] = rows[-1].get(name), rows[0].get(name)
    return document


def _extra(document: Any, _rule: Rule) -> Any:
    for item in [document, *_items(document)]:
        item["x_unheard_of"] = {"nested": [1, None, "text"]}
    return document


def _missing(document: Any, rule: Rule) -> Any:
    name = rule.argument(0, "result")

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items() if key != name}
        return [walk(value) for value in node] if isinstance(node, list) else node

    return walk(document)


def _nulls(document: Any, _rule: Rule) -> Any:
    for item in _items(document):
        for key in item:
            item[key] = None
    return document


def _empty_rows(document: Any, rule: Rule) -> Any:
    result = document.get("result") if isinstance(document, dict) else None
    if isinstance(result, list):
        document["result"] = ["" if rule.random.random() < rule.number(0, 0.5) else row for row in result]
    return document


CANCELLED = {
    "message": "Transaction cancelled: maximum execution time exceeded",
    "detail": "Transaction cancelled: maximum execution time exceeded Check logs for error trace or enable "
    "glide.rest.debug property to verify REST request processing",
}


def first(body: bytes, number: int) -> bytes | None:
    """A request with its first rows only; None where nothing is left of it."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return body
    if not isinstance(document, dict) or number == 0:
        return None if number == 0 else body
    if isinstance(document.get("rest_requests"), list):
        document["rest_requests"] = document["rest_requests"][:number]
    elif isinstance(document.get("records"), list):
        document["records"] = document["records"][:number]
    elif isinstance(document.get("items"), list):
        gone = {str(item.get("internal_id", "")) for item in document["items"][number:]} - {""}
        document["items"] = document["items"][:number]
        document["relations"] = [
            relation
            for relation in document.get("relations") or []
            if {str(relation.get("parent_id")), str(relation.get("child_id"))}.isdisjoint(gone)
            and all(int(relation.get(end, 0) or 0) < number for end in ("parent", "child"))
        ]
    return orjson.dumps(document)


def cut_off(document: Any, number: int) -> bytes:
    """The first rows of a list, then an error object, and no end (observed: quota passed while it was written)."""
    result = document.get("result") if isinstance(document, dict) else None
    rows = [orjson.dumps(row) for row in result[:number]] if isinstance(result, list) else []
    error = orjson.dumps({"error": CANCELLED, "status": "failure"})
    return b'{"result":[' + b",".join([*rows, error])


CHANGES: dict[str, Change] = {
    "reorder": _shuffle,
    "op": _operation,
    "code": _code,
    "item_errors": _item_errors,
    "count": _count,
    "swap_ids": _swap,
    "extra_fields": _extra,
    "missing": _missing,
    "nulls": _nulls,
    "empty_rows": _empty_rows,
}
