-- One notification a request, each with an Idempotency-Key of its own.
local threads = 0
local sent = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  headers = { ["Content-Type"] = "application/json" }
  if os.getenv("KEY") then
    headers["Authorization"] = "Bearer " .. os.getenv("KEY")
  end
  body = os.getenv("BODY")
  path = os.getenv("TARGET")
  run = os.getenv("RUN")
end

function request()
  sent = sent + 1
  headers["Idempotency-Key"] = run .. "-" .. number .. "-" .. sent
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  io.write(string.format('{"requests": %d, "seconds": %f, "p99_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout))
end
