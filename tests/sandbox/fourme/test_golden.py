"""Thirteen types from upload to export, written by hand: what is sent, what is counted, what comes back."""

from __future__ import annotations

from typing import NamedTuple

from tests.sandbox.fourme.conftest import Client, written


class Golden(NamedTuple):
    """One file."""

    kind: str
    sent: str
    counted: dict[str, int]
    back: str
    """The columns of what is sent, as an export writes them."""


FILES = [
    Golden(
        "calendars",
        "Source,Source ID,Name,Weekday,From,Until\nHR,c1,Office,mon,08:30,24:00\nHR,c1,Office,tue,00:00,12:00\n",
        {"created": 2},
        "Source,Source ID,Name,Weekday,From,Until\nHR,c1,Office,mon,08:30,24:00\nHR,c1,Office,tue,00:00,12:00\n",
    ),
    Golden(
        "holidays",
        "Source,Source ID,Name,Start At,End At,Calendars\nHR,h1,New Year,2027-01-01T00:00,2027-01-01T24:00,Office\n",
        {"created": 1},
        "Source,Source ID,Name,Start At,End At,Calendars\nHR,h1,New Year,2027-01-01T00:00,2027-01-01T24:00,Office\n",
    ),
    Golden(
        "sites",
        'Source\tSource ID\tName\tCountry\tTime Zone\nHR\ts1\tPlant "A"\tnl\tEurope/Amsterdam\n'.replace('"A"', "A"),
        {"created": 1},
        "Source,Source ID,Name,Country,Time Zone\nHR,s1,Plant A,NL,Amsterdam\n",
    ),
    Golden(
        "organizations",
        "Source,Source ID,Name,Parent Organization,Business Unit,Remarks\n"
        'HR,o1,Widget,,1,"- one\n- two, ""three"""\nHR,o2,"Widget, EU",Widget,no,\n',
        {"created": 2},
        "Source,Source ID,Name,Parent Organization,Business Unit,Remarks\n"
        'HR,o1,Widget,,true,"\t- one\n- two, ""three"""\nHR,o2,"Widget, EU",Widget,false,\n',
    ),
    Golden(
        "people",
        "Source,Source ID,Name,Primary Email,Organization,Site,Manager,VIP,Cost Per Hour,Work Hours\n"
        'HR,1,Ann,ann@x.com,"Widget, EU",Plant A,,Y,42.50,Office\nHR,2,Bob,bob@x.com,widget,,ANN@x.com,,7,\n'
        "HR,3,Cid,cid@x.com,Wigdet,,,,,\n",
        {"created": 2, "failures": 1},
        "Source,Source ID,Name,Primary Email,Organization,Site,Manager,VIP,Cost Per Hour,Work Hours\n"
        'HR,1,Ann,ann@x.com,"Widget, EU",Plant A,,true,42.5,Office\nHR,2,Bob,bob@x.com,Widget,,ann@x.com,false,7.0,\n',
    ),
    Golden(
        "people_contact_details",
        "Person,Contact Protocol,Contact Label,Contact URI,Address Label,Address City,Address Country,Integration\n"
        "ann@x.com,telephone,work,+1 512 555,,,,1\nann@x.com,,,,mailing,Austin,us,1\n"
        "bob@x.com,email,work,b@x.com,,,,0\n",
        {"created": 3},
        "Person,Contact Protocol,Contact Label,Contact URI,Address Label,Address City,Address Country,Integration\n"
        "ann@x.com,telephone,work,\t+1 512 555,,,,true\nann@x.com,,,,mailing,Austin,US,true\n"
        "bob@x.com,email,work,b@x.com,,,,false\n",
    ),
    Golden(
        "teams",
        'Source,Source ID,Name,Coordinator,Members,Time Zone\nHR,t1,Help,bob@x.com,"bob@x.com\nann@x.com",'
        "Asia/Kolkata\n",
        {"created": 1},
        'Source,Source ID,Name,Coordinator,Members,Time Zone\nHR,t1,Help,bob@x.com,"ann@x.com\nbob@x.com",Chennai\n',
    ),
    Golden(
        "services",
        'Source,Source ID,Name,Provider,Support Team,Keywords\nHR,v1,Mail,Widget,Help,"mail,post"\nHR,v2,Web,,Help,\n',
        {"created": 1, "failures": 1},
        'Source,Source ID,Name,Provider,Support Team,Keywords\nHR,v1,Mail,Widget,Help,"mail,post"\n',
    ),
    Golden(
        "product_categories",
        "Source,Source ID,Name,Group,Rule Set\nHR,g1,Desktop PC,Computer,physical_asset\nHR,g2,Office,,software\n",
        {"created": 2},
        "Source,Source ID,Name,Group,Rule Set\nHR,g1,Desktop PC,Computer,physical_asset\nHR,g2,Office,,software\n",
    ),
    Golden(
        "products",
        "Source,Source ID,Name,Brand,Category,Useful Life,Support Team\n"
        "HR,p1,PC 1,Acme,computer/desktop_pc,36,Help\nHR,p2,Suite,Soft,office,,\n",
        {"created": 2},
        "Source,Source ID,Name,Brand,Category,Useful Life,Support Team\n"
        "HR,p1,PC 1,Acme,computer/desktop_pc,36,Help\nHR,p2,Suite,Soft,office,,\n",
    ),
    Golden(
        "cis",
        "Source,Source ID,Product,Label,Status,Users,Purchase Value,In Use Since\n"
        "D,1,PC 1,PC-1,in_production,ann@x.com,999.90,2026-02-28\nD,2,Suite,,installed,,,\n"
        "D,3,PC 1,PC-3,in_production,,,2026-02-30\n",
        {"created": 2, "failures": 1},
        "Source,Source ID,Product,Label,Status,Users,Purchase Value,In Use Since\n"
        "D,1,PC 1,PC-1,in_production,ann@x.com,999.9,2026-02-28\nD,2,Suite,,installed,,,\n",
    ),
    Golden(
        "ci_relations",
        "Source,CI Label,Related CI Label,Relation Type\nD,PC-1,Suite,software_dependency\n",
        {"created": 1},
        "Source,CI Label,Related CI Label,Relation Type\nD,PC-1,Suite,software_dependency\n",
    ),
    Golden(
        "contracts",
        "Source,Source ID,Name,Customer,Expiry Date,Configuration items\nHR,k1,Care,Widget,2027-12-31,PC-1\n",
        {"created": 1},
        "Source,Source ID,Name,Customer,Expiry Date,Configuration items\nHR,k1,Care,Widget,2027-12-31,PC-1\n",
    ),
]


def test_what_is_sent_is_counted_and_comes_back(me: Client) -> None:
    """In the order in which the types need each other; again, every row is unchanged, replaced or refused as before."""
    for one in FILES:
        assert me.results(one.kind, one.sent) == one.counted, one.kind
    for one in FILES:
        columns = one.back.split("\n")[0].split(",")
        rows = [{column: row[column] for column in columns} for row in me.rows(one.kind)]
        assert written(rows) == one.back, one.kind
    for one in FILES:
        failed = {"failures": one.counted["failures"]} if "failures" in one.counted else {}
        count = one.counted["created"]
        again = {
            "people_contact_details": {"created": 2, "deleted": 2, "unchanged": 1},
            "ci_relations": {"created": 1, "deleted": 1},
        }.get(one.kind, {"unchanged": count, **failed})
        assert me.results(one.kind, one.sent) == again, one.kind


def test_what_a_new_ci_takes_from_its_product(me: Client) -> None:
    """Documented: name, remarks, service, team, supplier, financial owner; a label where the category has labels."""
    for one in FILES[:10]:
        me.load(one.kind, one.sent)
    assert me.results("cis", "Product,Status\nPC 1,in_stock\nSuite,installed\n") == {"created": 2}
    assert me.rows("cis", "Label", "Name", "Support Team") == [
        {"Label": "DES00001", "Name": "PC 1", "Support Team": "Help"},
        {"Name": "Suite"},
    ]
