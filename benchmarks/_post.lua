-- wrk's requests: one file, posted again and again; every answer is looked at.
--   wrk ... -s _post.lua http://... -- FILE CONTENT-TYPE EXPECTED
-- EXPECTED is a text that each answer with status 200 must hold.

-- WRK_PAUSE: milliseconds that each connection waits before it asks again.

local threads = {}
local pause = tonumber(os.getenv("WRK_PAUSE") or "")

if pause then
  function delay()
    return math.floor(pause * (0.5 + math.random()))
  end
end

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = arguments[2]
  expected = arguments[3] or ""
  good, wrong, busy, other, lost = 0, 0, 0, 0, 0
end

function response(status, headers, body)
  if status == 200 then
    if expected == "" or string.find(body, expected, 1, true) then
      good = good + 1
    else
      wrong = wrong + 1
    end
  elseif status == 503 and headers["Retry-After"] then
    busy = busy + 1
  else
    other = other + 1
  end
end

function done(summary, latency, requests)
  local sum = {good = 0, wrong = 0, busy = 0, other = 0}
  for _, thread in ipairs(threads) do
    for name, value in pairs(sum) do
      sum[name] = value + thread:get(name)
    end
  end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    "RESULT seconds=%.3f good=%d wrong=%d busy=%d other=%d lost=%d p50=%.3f p99=%.3f\n",
    summary.duration / 1e6, sum.good, sum.wrong, sum.busy, sum.other, errors,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
