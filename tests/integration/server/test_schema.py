"""Whatever the schema allows, and what it does not, is answered with a status that the schema names."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

CHECKED = [not_a_server_error, status_code_conformance, response_schema_conformance]
UNENDING = "/events"  # a stream that lasts as long as its job


@pytest.mark.filterwarnings("ignore")
def test_the_service_keeps_to_its_schema(serve):
    base, _ = serve(most_jobs=3)
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith(UNENDING):
            tried.append(f"{operation.method.upper()} {operation.path}")
            _try(operation)
    assert len(tried) >= 12, tried


def _try(operation):
    @given(case=operation.as_strategy())
    @settings(
        max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case):
        case.call_and_validate(timeout=60, checks=CHECKED)

    ask()
