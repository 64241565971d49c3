"""What measuring quality costs: CPU of ClickHouse and of the job by event, minute after minute, as a table of events grows.

    cdp up --only clickhouse
    python -m bench.quality --rate 3000 --minutes 10

Events are loaded as job `history` does, by ranges of a second from two partitions, into a database of their own that is thrown away; after
each minute of log time the statements of job `quality` are run over it. Nothing else should be busy in that ClickHouse.
"""

import argparse
import time
from typing import Final

import psutil

from config import loader
from config import quality as settings
from pipelines.history.schema import ensure_schema as ensure_history
from pipelines.quality import plan
from pipelines.quality.alert_store import AlertStore
from pipelines.quality.judge import Judge
from pipelines.quality.meter import Meter
from pipelines.quality.schema import ensure_schema
from schemas import contracts
from sinks.clickhouse import ClickHouse

DATABASE: Final = "quality_bench"
_LOAD: Final = """
INSERT INTO events (tenant, node, profile_id, seq, type, name, message_id, event_time, source, partition, offset, log_time, channel, late,
  identifiers, properties, traits, context, origin, _ingested_at)
WITH ['north', 'south', 'east', 'west', 'centre', 'coast', 'islands', 'hills'] AS regions,
  ['5.0', '5.1', '5.2', '5.3', '5.4', '6.0'] AS versions, ['web-shop', 'server', 'tickets'] AS origins,
  ['Product Viewed', 'Product Viewed', 'Product Viewed', 'Product Viewed', 'Product Viewed', 'Product Added', 'Product List Viewed',
   'Page Engaged', 'Order Completed', 'Checkout Started'] AS names,
  '{{"order_id":"o-%","total":33.75,"currency":"GBP","products":[{{"product_id":"p1","quantity":2,"price":10.5}},' AS order_head,
  '{{"product_id":"p2","quantity":3,"price":4.25,"name":"Plate","category":"Kitchen/Plates"}}]}}' AS order_tail,
  '{{"product_id":"sku-%","price":12.5,"quantity":1,"name":"MEDIUM CERAMIC TOP STORAGE JAR","category":"Kitchen/Storage",' AS product_head,
  '"brand":"Acme","url":"https://shop.example/p/12345","currency":"GBP","page":"x","dwell_s":3}}' AS product_tail,
  '"device":{{"id":"0123456789abcdef","manufacturer":"Apple","model":"iPhone14,2","type":"ios"}},"locale":"en-GB",' AS device,
  '"network":{{"wifi":true}},"screen":{{"width":390,"height":844}},"timezone":"Europe/London","library":{{"name":"x"}}}}' AS context_tail
SELECT 'demo', 'demo|user_id|' || toString(rand(1) % 200000), hex(rand64(2)), number, 'track', names[1 + rand(3) % 10] AS name,
  toString(generateUUIDv4()), log_time - toIntervalMillisecond(rand(4) % 5000), 'cdp.raw.clickstream', {partition}, {offset} + number,
  toDateTime64({second}, 3, 'UTC') + toIntervalMillisecond(intDiv(number * 1000, {count})) AS log_time,
  if(rand(5) % 3 = 0, 'web', 'mobile_app'), false, ['demo|user_id|1'],
  replaceOne(if(name = 'Order Completed', order_head || order_tail, product_head || product_tail), '%', toString(rand(6) % 1000)),
  '{{}}',
  concat('{{"channel":"mobile_app","app":{{"name":"shop","version":"', versions[1 + rand(8) % 6], '"}},"os":{{"name":"iOS"}},', device,
    '"location":{{"country":"GB","region":"', regions[1 + rand(10) % 8], '"}},', context_tail), origins[1 + rand(11) % 3], log_time + 1
FROM numbers({count})"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description="CPU of the statements of job quality, by event.")
    parser.add_argument("--rate", type=int, default=3000, help="events a second (default: 3000)")
    parser.add_argument("--minutes", type=int, default=10, help="minutes of log time (default: 10)")
    arguments = parser.parse_args()
    platform, quality = loader.platform(), settings.quality()
    server, root = ClickHouse(platform.clickhouse, database=DATABASE), ClickHouse(platform.clickhouse, database="")
    root.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC")
    ensure_history(server, root, loader.definitions(), loader.identity(), platform.tenants)
    ensure_schema(server, quality.keep_days)
    try:
        _run(server, quality, arguments.rate, arguments.minutes)
    finally:
        root.command(f"DROP DATABASE {DATABASE} SYNC")


def _run(server: ClickHouse, quality: settings.Quality, rate: int, minutes: int) -> None:
    house, job = _listener(loader.platform().clickhouse.http_port), psutil.Process()
    meter = Meter(server, plan.make(quality, contracts.load(), loader.sources()), loader.platform().default_tenant)
    judge = Judge(server, quality, AlertStore(server))
    first = int(time.time()) // 60 - minutes - 1
    spent = {"measure": 0.0, "judge": 0.0, "job": 0.0}
    for minute in range(first, first + minutes):
        for second in range(120):
            at, count = minute * 60 + second // 2, max(1, rate // 2)
            offset = (minute - first) * rate * 60 + second * count
            server.command(_LOAD.format(partition=second % 2, offset=offset, second=at, count=count), {"max_threads": "2"})
        began, mine = _cpu_s(house), _cpu_s(job)
        while meter.next(minute + 1) is not None:
            pass
        meter.late()
        measured = _cpu_s(house)
        judge.through(minute + 1)
        ended = _cpu_s(house)
        spent["measure"] += measured - began
        spent["judge"] += ended - measured
        spent["job"] += _cpu_s(job) - mine
        print(
            f"minute {minute - first + 1}: measure {measured - began:.2f} s, judge {ended - measured:.2f} s of ClickHouse's CPU", flush=True
        )
    events = rate * 60 * minutes
    told = ", ".join(f"{name} {seconds / events * 1e6:.2f}" for name, seconds in spent.items())
    parts = "system.parts WHERE active AND database = currentDatabase() AND table = 'quality'"
    size = server.rows(f"SELECT sum(rows) AS r, sum(bytes_on_disk) AS b FROM {parts}")
    print(f"{events:,} events: us of CPU an event: {told}; table quality: {size[0]['r']:,} rows, {size[0]['b']:,} bytes")


def _listener(port: int) -> psutil.Process:
    """The process that listens on a port."""
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.pid and one.laddr and one.laddr.port == port:
            return psutil.Process(one.pid)
    raise SystemExit(f"nobody listens on port {port}: `cdp up --only clickhouse`")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
