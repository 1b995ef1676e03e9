-- Sends the requests of a file in order; each thread sends its own share of them.
--   wrk ... -s requests.lua URL -- FILE again|once THREADS
-- The file holds complete HTTP requests with a zero byte after each. The first is a spare one: with
-- `once` no other request is sent twice, and a thread that has sent its share stops.

local all = {}

function setup(thread)
  thread:set("number", #all)
  table.insert(all, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local text = file:read("*a")
  file:close()
  once, mine, ran_out, place = arguments[2] == "once", {}, 0, 0
  local index = 0
  for each in text:gmatch("([^%z]+)%z") do
    if index == 0 then
      spare = each
    elseif index % tonumber(arguments[3]) == number then
      table.insert(mine, each)
    end
    index = index + 1
  end
end

function request()
  place = place + 1
  if place > #mine then
    if once then
      ran_out = 1
      wrk.thread:stop()
      return spare
    end
    place = 1
  end
  return mine[place]
end

function done(summary, latency)
  local ran_out = 0
  for _, thread in ipairs(all) do
    ran_out = ran_out + thread:get("ran_out")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, ' ..
    '"refused": %d, "broken": %d, "ran_out": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, ran_out))
end
