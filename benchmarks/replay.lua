-- Plays signed requests in order. They are made beforehand (benchmarks/calls.py), because Lua has no HMAC here.
-- Usage: wrk -t1 … -s replay.lua URL -- FILE. The file has a count, then for each request its length and its bytes.

local requests, at = {}, 0
bad = 0  -- global, so that done() can ask the thread for it

function setup(thread)
  watched = thread
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for n = 1, assert(file:read("*number")) do
    local length = file:read("*number")
    file:read(1)
    requests[n] = file:read(length)
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- A refusal has status 200 in Kraken's envelope, so wrk itself cannot tell it from an answer.
function response(status, headers, body)
  if not body:find('{"error":[],', 1, true) then
    bad = bad + 1
    if bad == 1 then io.stderr:write("first bad answer: ", status, " ", body, "\n") end
  end
end

function done(summary, latency, _)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\n{"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"bad":%d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99), watched:get("bad") + failed))
end
