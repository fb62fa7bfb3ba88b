"""The alert rules and the dashboard: Prometheus' own tool reads them, and they name only what exists."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.debian import unpacked

from tidings.telemetry.metrics import Metrics
from tidings.telemetry.outbox_metrics import OutboxMetrics, RelayFigures

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "tidings.rules.yaml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yaml"
DASHBOARD = DEPLOY / "grafana" / "tidings.json"
METRIC = re.compile(r"\b(tidings_[a-z_]+)\b(?!\")")
FIRING = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - name: the first failure of its kind is seen
    interval: 1m
    input_series:
      - {{series: 'tidings_failures_total{{channel="sms",kind="unexpected"}}', values: '0x5 1x20'}}
      - {{series: 'tidings_scheduled', values: '0x30'}}
    alert_rule_test:
      - {{eval_time: 4m, alertname: TidingsUnexpectedError}}
      - eval_time: 8m
        alertname: TidingsUnexpectedError
        exp_alerts: [{{exp_labels: {{channel: sms, severity: page}}, exp_annotations: {unexpected}}}]
  - name: all is well
    interval: 1m
    input_series:
      - {{series: 'up{{job="tidings",instance="a"}}', values: '1x30'}}
      - {{series: 'tidings_broker_up{{instance="a"}}', values: '1x30'}}
      - {{series: 'tidings_ledger_up{{instance="a"}}', values: '1x30'}}
      - {{series: 'tidings_scheduled', values: '5x30'}}
      - {{series: 'tidings_scheduled_overdue', values: '0x30'}}
      - {{series: 'tidings_outbox_oldest_seconds', values: '0x10 59x20'}}
      - {{series: 'tidings_outbox_failed', values: '0x30'}}
      - {{series: 'tidings_circuit_state{{channel="email",provider="primary"}}', values: '0x30'}}
      - {{series: 'tidings_attempts_total{{channel="email",outcome="sent"}}', values: '0+600x30'}}
      - {{series: 'tidings_attempts_total{{channel="email",outcome="rejected"}}', values: '0+6x30'}}
    alert_rule_test:
{quiet}
  - name: what is wrong is told
    interval: 1m
    input_series:
      - {{series: 'tidings_attempts_total{{channel="email",outcome="sent"}}', values: '0+60x40'}}
      - {{series: 'tidings_attempts_total{{channel="email",outcome="retry_later"}}', values: '0+60x40'}}
      - {{series: 'rabbitmq_detailed_queue_messages_ready{{queue="tidings.email.high"}}', values: '7x40'}}
      - {{series: 'tidings_outbox_oldest_seconds', values: '0+60x40'}}
      - {{series: 'tidings_outbox_failed', values: '1x40'}}
      - {{series: 'rabbitmq_detailed_queue_consumers{{queue="tidings.email.high"}}', values: '0x40'}}
    promql_expr_test:
      - expr: count by (alertname) (ALERTS{{alertstate="firing"}})
        eval_time: 35m
        exp_samples:
          - {{labels: '{{alertname="TidingsFewDelivered"}}', value: 1}}
          - {{labels: '{{alertname="TidingsLaneWithoutConsumer"}}', value: 1}}
          - {{labels: '{{alertname="TidingsOutboxFailed"}}', value: 1}}
          - {{labels: '{{alertname="TidingsOutboxWaits"}}', value: 1}}
          - {{labels: '{{alertname="TidingsSchedulerMissing"}}', value: 1}}
"""


@pytest.fixture(scope="module")
def promtool() -> Path:
    return unpacked("prometheus", "prometheus") / "usr" / "bin" / "promtool"


def run(promtool: Path, *arguments: object) -> None:
    done = subprocess.run(
        [str(promtool), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> Iterator[str]:
    """Every query of the dashboard, its variables filled in."""
    panels: Sequence[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    for panel in panels:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "1m").replace("$channel", ".*")


def test_prometheus_takes_the_rules_and_the_example_of_a_configuration(promtool: Path) -> None:
    run(promtool, "check", "rules", "--lint-fatal", RULES)
    run(promtool, "check", "config", CONFIG)


def test_alerts_fire_when_they_should_and_are_quiet_when_all_is_well(
    promtool: Path, tmp_path: Path
) -> None:
    names = re.findall(r"alert: (\w+)", RULES.read_text())
    quiet = "\n".join(f"      - {{eval_time: 29m, alertname: {name}}}" for name in names)
    unexpected = json.dumps(
        {
            "summary": "An error in Tidings' own code while sending by sms",
            "description": "The log has its traceback; report it. The notification is tried again. "
            'See "Runbook" in docs/operations.md.',
        }
    )
    test = tmp_path / "alerts.yaml"
    test.write_text(FIRING.format(rules=RULES, quiet=quiet, unexpected=unexpected))
    run(promtool, "test", "rules", test)


def test_prometheus_understands_every_query_of_the_dashboard(
    promtool: Path, tmp_path: Path
) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(expressions())
    ]
    written = tmp_path / "dashboard.yaml"
    written.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(promtool, "check", "rules", written)
    assert len(rules) > 20


def test_rules_and_dashboard_name_only_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.waiting(0, 0)  # as a scheduler's process does
    metrics.dispatching(0, 0, paused=False)
    metrics.partitions_end(0)
    OutboxMetrics(metrics.registry, lambda: RelayFigures(0, 0, 0, 0, 0, 0.0))
    shown = metrics.render().decode()
    known = set(re.findall(r"^# HELP (tidings_\w+) ", shown, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (tidings_\w+) histogram", shown, re.MULTILINE))
    known |= {f"{name}_bucket" for name in histograms}
    rules = "\n".join(re.findall(r"expr: ((?:.|\n)*?)\n +(?:for|labels):", RULES.read_text()))
    named = {name for text in (rules, *expressions()) for name in METRIC.findall(text)}
    assert named - known == set()
