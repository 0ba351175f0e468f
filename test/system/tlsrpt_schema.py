# SPDX-License-Identifier: Apache-2.0
"""RFC 8460, section 4.4, as a JSON Schema (the RFC has none), and the example of its appendix B to try the schema on.

Where the RFC names an object's members, all are demanded that it does not make depend on anything; nothing beside them is
allowed, so that a misspelt member shows."""
import jsonschema

# Section 4.3 and the registry of section 6.6.
RESULTS = ["starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted",
           "validation-failure", "tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error",
           "sts-policy-invalid", "sts-webpki-invalid"]

COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}
DATE = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}  # RFC 3339 5.6
NAME = {"type": "string", "pattern": r"^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"}
ADDRESS = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
PATTERN = {"type": "string", "pattern": r"^(\*\.)?" + NAME["pattern"][1:]}
TLSA = {"type": "string", "pattern": r"^[0-3] [01] [0-2] ([0-9A-Fa-f]{2})+$"}  # RFC 6698 2.2

FAILURE = {
    "type": "object", "additionalProperties": False, "required": ["result-type", "failed-session-count"],
    "properties": {"result-type": {"enum": RESULTS}, "sending-mta-ip": ADDRESS, "receiving-mx-hostname": NAME,
                   "receiving-mx-helo": TEXT, "receiving-ip": ADDRESS, "failed-session-count": {**COUNT, "minimum": 1},
                   "additional-information": {"type": "string", "pattern": "^https?://"}, "failure-reason-code": TEXT}}

POLICY = {
    "type": "object", "additionalProperties": False, "required": ["policy-type", "policy-domain"],
    "properties": {"policy-type": {"enum": ["tlsa", "sts", "no-policy-found"]},
                   "policy-string": {"type": "array", "items": TEXT, "minItems": 1}, "policy-domain": NAME,
                   "mx-host": {"type": "array", "items": PATTERN, "minItems": 1}},
    "allOf": [
        {"if": {"properties": {"policy-type": {"const": "tlsa"}}},
         "then": {"properties": {"policy-string": {"items": TLSA}, "mx-host": False}}},
        {"if": {"properties": {"policy-type": {"const": "sts"}}, "required": ["policy-string"]},
         "then": {"properties": {"policy-string": {"contains": {"const": "version: STSv1"}}}, "required": ["mx-host"]}},
        {"if": {"properties": {"policy-type": {"const": "no-policy-found"}}},
         "then": {"properties": {"policy-string": False, "mx-host": False}}}]}

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object", "additionalProperties": False,
    "required": ["organization-name", "date-range", "contact-info", "report-id", "policies"],
    "properties": {
        "organization-name": TEXT,
        "date-range": {"type": "object", "additionalProperties": False, "required": ["start-datetime", "end-datetime"],
                       "properties": {"start-datetime": DATE, "end-datetime": DATE}},
        "contact-info": {"type": "string", "format": "email"},
        "report-id": TEXT,
        "policies": {"type": "array", "minItems": 1, "items": {
            "type": "object", "additionalProperties": False, "required": ["policy", "summary"],
            "properties": {
                "policy": POLICY,
                "summary": {"type": "object", "additionalProperties": False,
                            "required": ["total-successful-session-count", "total-failure-session-count"],
                            "properties": {"total-successful-session-count": COUNT, "total-failure-session-count": COUNT}},
                "failure-details": {"type": "array", "items": FAILURE, "minItems": 1}}}}}}

EXAMPLE = {
    "organization-name": "Company-X",
    "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
    "contact-info": "sts-reporting@company-x.example",
    "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
    "policies": [{
        "policy": {"policy-type": "sts",
                   "policy-string": ["version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"],
                   "policy-domain": "company-y.example",
                   "mx-host": ["*.mail.company-y.example"]},
        "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
        "failure-details": [
            {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:0012::1",
             "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
            {"result-type": "starttls-not-supported", "sending-mta-ip": "2001:db8:abcd:0013::1",
             "receiving-mx-hostname": "mx2.mail.company-y.example", "receiving-ip": "203.0.113.56",
             "failed-session-count": 200,
             "additional-information":
             "https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported"},
            {"result-type": "validation-failure", "sending-mta-ip": "198.51.100.62", "receiving-ip": "203.0.113.58",
             "receiving-mx-hostname": "mx-backup.mail.company-y.example", "failed-session-count": 3,
             "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]}]}


def check(report):
    """Raises ValidationError if it is not as RFC 8460 wants it; sums must agree too."""
    jsonschema.validate(report, SCHEMA, format_checker=jsonschema.FormatChecker())
    for p in report["policies"]:
        failed = sum(f["failed-session-count"] for f in p.get("failure-details", []))
        if failed != p["summary"]["total-failure-session-count"]:
            raise jsonschema.ValidationError(f"{failed} failures are told of in detail: {p}")
