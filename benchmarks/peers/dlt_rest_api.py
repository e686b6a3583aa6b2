"""A plain dlt pipeline as its documentation writes one: rest_api, offset pages, merged by sys_id, into DuckDB."""

from __future__ import annotations

import os
import sys

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.rest_api import rest_api_source


def main(url: str, user: str, password: str, fields: str) -> None:
    """Read incidents from the instance into incidents.duckdb of the working directory."""
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{url}/api/now/table/",
                "auth": {"type": "http_basic", "username": user, "password": password},
                "paginator": {"type": "offset", "limit": 2000, "total_path": None,
                              "limit_param": "sysparm_limit", "offset_param": "sysparm_offset"},
            },
            "resource_defaults": {"primary_key": "sys_id", "write_disposition": "merge"},
            "resources": [
                {
                    "name": "incidents",
                    "endpoint": {
                        "path": "incident",
                        "data_selector": "result",
                        "params": {
                            "sysparm_query": "sys_updated_on>={incremental.start_value}^ORDERBYsys_id",
                            "sysparm_fields": fields,
                            "sysparm_exclude_reference_link": "true",
                        },
                        "incremental": {"cursor_path": "sys_updated_on", "initial_value": "1970-01-01 00:00:00"},
                    },
                }
            ],
        }
    )  # fmt: skip
    pipeline = dlt.pipeline(
        "peer", pipelines_dir="pipelines", destination=dlt.destinations.duckdb("incidents.duckdb"), dataset_name="peer"
    )
    pipeline.run(source)


if __name__ == "__main__":
    main(*sys.argv[1:])
